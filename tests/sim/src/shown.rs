//! What a ticket's own fields show at the end.

use domain::principal::Via;
use domain::state::State;
use engine::port::Phase;

use crate::world::World;

/// A ticket's own fields show at the end what became of it, unless nobody may write there any more.
pub(crate) fn check(world: &World, uninstalled: bool) {
    let all = world.watch.tickets();
    for ticket in all.iter().filter(|ticket| ticket.state == State::Completed && ticket.via != Via::Cli) {
        let alone = all.iter().filter(|other| other.tenant == ticket.tenant && other.key == ticket.key).count() == 1;
        let shows = world.tracker.shows(&ticket.tenant, &ticket.key);
        if alone && shows != Some(Phase::Done) && !uninstalled {
            world.watch.breaks(4, format!("{} is done, and its fields show {shows:?}", ticket.key));
        }
    }
}
