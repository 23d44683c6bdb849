//! Parts of the engine by themselves, on simulated ports: slots, the outbox, the tenant's month.
#![allow(clippy::unwrap_used, reason = "this is test code")]

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use domain::Timestamp;
use domain::hash::ContentHash;
use domain::id::{OutboxId, TenantId, TicketId};
use domain::money::Usd;
use domain::name::{BranchName, RepoName, TrackerKey};
use domain::principal::Via;
use domain::state::{Stage, State};
use domain::ticket::{NewTicket, PendingCall, Target, Ticket, TicketText};
use engine::key::{Key, TicketPartition};
use engine::outbox::{Pending, relay, row};
use engine::port::{ModelAnswer, Stop, Usage, Write};
use engine::slot::{Slot, free, renew, take, wait};
use engine::spend::{reclaim, reserve, settle, this_month};
use engine::tenancy::TenantCtx;
use engine::ticket::TicketRow;
use engine::{Disposition, Engine};
use sim::clockwork::{Clockwork, Micros, SECOND};
use sim::scene::Scene;
use sim::world::World;

const LEASE: Duration = Duration::from_mins(1);

/// A calm world, in which every call is over at once.
struct Calm {
    world: Arc<World>,
    engine: Engine,
    ctx: TenantCtx,
}

fn now<T>(job: impl Future<Output = T>) -> T {
    match pin!(job).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("something waits in a calm world"),
    }
}

fn ticket(name: &str) -> TicketId {
    TicketId::parse(&format!("tkt_{name}")).unwrap()
}

impl Calm {
    fn new(slots: usize) -> Self {
        let world = World::new(&Clockwork::calm(), &Scene::plain(), None);
        let engine = Engine { slots: Some(slots), ..world.engine(0) };
        let ctx = world.sealer.operator(&TenantId::parse("ten_f1").unwrap()).unwrap();
        Self { world, engine, ctx }
    }

    fn forward(&self, by: Micros) {
        self.world.clockwork.forward(by);
    }

    fn at(&self) -> Timestamp {
        self.engine.clock.now()
    }

    fn take(&self, name: &str, length: Duration) -> Option<Slot> {
        now(take(&self.engine, &self.ctx, &ticket(name), length)).unwrap()
    }

    fn stores(&self, name: &str, state: State, pending: Option<PendingCall>) {
        let branch = |name: &str| BranchName::parse(name).unwrap();
        let repo = RepoName::parse("octo/shop").unwrap();
        let new = Ticket::new(NewTicket {
            id: ticket(name),
            tenant: self.ctx.tenant().clone(),
            key: TrackerKey::parse("SHOP-1").unwrap(),
            via: Via::Jira,
            connection: None,
            text: TicketText { title: "t".to_owned(), body: String::new() },
            requester: None,
            requester_name: "ada".to_owned(),
            target: Target { repo, base: branch("main"), branch: branch("prfactory/x"), commit: None, snapshot: None },
            budget: Usd::from_dollars(5),
            at: self.at(),
        });
        let ticket = Ticket { state, pending, ..new };
        let row = TicketRow { ticket, version: 0, fence: 0, lease_until: None, due: None };
        let item = row.to_item(&self.ctx, self.at()).unwrap();
        now(self.engine.table.transact(vec![Write::Put { item, when: Vec::new() }])).unwrap();
    }

    fn month(&self) -> i64 {
        now(this_month(&self.engine, &self.ctx)).unwrap().micros()
    }

    fn reserves(&self, request: &str, attempt: u32, micros: i64, limit: i64) -> bool {
        let (request, id) = (hash(request), ticket("1"));
        let (amount, limit) = (Usd::from_micros(micros), Usd::from_micros(limit));
        now(reserve(&self.engine, &self.ctx, &id, (&request, attempt), amount, limit)).unwrap()
    }

    fn settles(&self, request: &str, attempt: u32, micros: i64) {
        let (request, id) = (hash(request), ticket("1"));
        now(settle(&self.engine, &self.ctx, &id, (&request, attempt), Usd::from_micros(micros))).unwrap();
    }

    /// Looks at every reservation as sweep does once they are due.
    fn reclaims(&self) {
        for item in self.world.table.all(|key| key.sort().starts_with("RESERVATION#")) {
            now(reclaim(&self.engine, &self.ctx, &item)).unwrap();
        }
    }

    fn pending(&self, not_before: Option<Timestamp>) -> Pending {
        let id = OutboxId::parse("out_1").unwrap();
        let group = self.ctx.tenant().to_string();
        Pending { id, queue: "plan".to_owned(), body: "sealed".to_owned(), group, not_before }
    }
}

fn hash(of: &str) -> ContentHash {
    ContentHash::of(of.as_bytes())
}

#[test]
fn a_tenant_has_its_slots_whichever_of_them_a_ticket_looks_at_first() {
    for slots in [1, 2, 3] {
        // Tickets whose first look is at each of the slots, and again.
        for first in ["1", "2", "3", "4"] {
            let calm = Calm::new(slots);
            let held: Vec<_> = (0..slots).map(|_| calm.take(first, LEASE).unwrap()).collect();
            for late in ["1", "2", "3", "4"] {
                assert!(calm.take(late, LEASE).is_none(), "{slots} slots, {late} after {first}");
            }
            for slot in held {
                now(free(&calm.engine, &slot));
                assert!(calm.take("9", LEASE).is_some(), "what was freed is free");
                assert!(calm.take("9", LEASE).is_none(), "and once only");
            }
        }
    }
}

#[test]
fn tickets_look_for_a_slot_in_different_places_first() {
    let calm = Calm::new(10);
    let mut places = BTreeSet::new();
    for name in ["1", "2", "3", "4"] {
        let slot = calm.take(name, LEASE).unwrap();
        let rows = calm.world.table.all(|key| key.sort().starts_with("SLOT#"));
        places.extend(rows.into_iter().map(|row| row.key));
        now(free(&calm.engine, &slot));
    }
    assert_eq!(places.len(), 4, "one write is enough while any of them is free: {places:?}");
}

#[test]
fn a_slot_is_held_until_its_lease_ends_and_for_longer_when_renewed() {
    let calm = Calm::new(2);
    let (lapsing, renewed) = (calm.take("1", LEASE).unwrap(), calm.take("1", LEASE).unwrap());
    calm.forward(40 * SECOND);
    now(renew(&calm.engine, &renewed, LEASE)).unwrap();
    calm.forward(20 * SECOND - 1);
    assert!(calm.take("2", LEASE).is_none(), "the last moment of a lease");
    calm.forward(1);
    let next = calm.take("2", LEASE).unwrap();
    assert!(calm.take("3", LEASE).is_none(), "the other one was renewed");
    now(renew(&calm.engine, &lapsing, LEASE)).unwrap();
    now(free(&calm.engine, &lapsing));
    assert!(calm.take("3", LEASE).is_none(), "who lost a slot does nothing to whoever has it now");
    now(free(&calm.engine, &next));
    assert!(calm.take("3", LEASE).is_some());
}

#[test]
fn a_slot_that_seems_taken_for_longer_than_any_lease_holds_nobody_off() {
    for (minutes, more, held) in [(6, 0, true), (6, 1, false), (60, 0, false)] {
        let calm = Calm::new(1);
        // Its holder's clock was set back since.
        calm.take("1", Duration::from_mins(minutes) + Duration::from_secs(more)).unwrap();
        assert_eq!(calm.take("2", LEASE).is_none(), held, "{minutes} min {more} s");
    }
}

#[test]
fn those_who_wait_for_a_slot_come_again_within_seconds_and_not_all_at_once() {
    let calm = Calm::new(1);
    calm.stores("1", State::Planning, None);
    let waits = |name: &str, still: bool| {
        now(wait(&calm.engine, &calm.ctx, &ticket(name), ("plan", "sealed"), &move |_| still)).unwrap()
    };
    assert_eq!((waits("1", false), waits("2", true)), (Disposition::Ack, Disposition::Ack));
    assert!(calm.world.queue.is_empty(), "what is past, or of a ticket that is gone, waits no more");
    let mut times = BTreeSet::new();
    for _ in 0..50 {
        assert_eq!(waits("1", true), Disposition::Ack, "waiting is no failure");
        let next = calm.world.queue.next_visible("plan").unwrap() - calm.world.clockwork.now();
        times.insert(next / SECOND);
        assert!(calm.world.queue.take("plan", 10, SECOND).is_empty(), "it comes later");
        calm.forward(20 * SECOND);
        for taken in calm.world.queue.take("plan", 10, SECOND) {
            assert_eq!((taken.body.as_str(), taken.receives), ("sealed", 1), "as one that was never received");
            now(calm.engine.queue.ack("plan", &taken.receipt)).unwrap();
        }
        assert!(calm.world.queue.is_empty());
    }
    assert!(times.len() >= 5 && times.iter().all(|seconds| (5..15).contains(seconds)), "{times:?}");
}

#[test]
fn a_message_is_left_to_who_committed_it_for_a_minute() {
    let calm = Calm::new(1);
    let at = |seconds: i64| Timestamp::from_microsecond(calm.world.clockwork.now() + seconds * SECOND).unwrap();
    for (not_before, due) in [(None, 60), (Some(at(-30)), 60), (Some(at(600)), 660)] {
        let write = row(&calm.ctx, &TicketPartition::of(&ticket("1")), &calm.pending(not_before), calm.at());
        let Write::Put { item, .. } = write else { panic!("{write:?}") };
        assert_eq!(item.due, Some(at(due)), "{not_before:?}");
    }
}

#[test]
fn a_message_leaves_its_row_when_it_is_queued_and_stays_there_when_it_is_too_early() {
    for (seconds, leaves) in [(0, true), (900, true), (901, false)] {
        let calm = Calm::new(1);
        let at = Timestamp::from_microsecond(calm.world.clockwork.now() + seconds * SECOND).unwrap();
        let (partition, pending) = (TicketPartition::of(&ticket("1")), calm.pending(Some(at)));
        now(calm.engine.table.transact(vec![row(&calm.ctx, &partition, &pending, calm.at())])).unwrap();
        now(relay(&calm.engine, &calm.ctx, &partition, &pending));
        let stands = calm.world.table.peek(&Key::outbox(&calm.ctx, &partition, &pending.id)).is_some();
        assert_eq!((calm.world.queue.len(), stands), (usize::from(leaves), !leaves), "after {seconds} s");
        if leaves {
            let visible = calm.world.queue.next_visible("plan").unwrap();
            assert_eq!(visible, at.as_microsecond(), "not before its time");
        }
    }
}

#[test]
fn a_month_covers_what_is_reserved_and_spent_and_no_millionth_more() {
    let calm = Calm::new(1);
    assert!(calm.reserves("a", 1, 400, 1_000) && calm.reserves("a", 1, 400, 1_000));
    assert_eq!(calm.month(), 400, "the same try reserves once");
    assert!(calm.reserves("a", 2, 400, 1_000) && calm.reserves("b", 1, 200, 1_000));
    assert!(!calm.reserves("c", 1, 1, 1_000));
    assert_eq!(calm.month(), 1_000, "what is refused reserves nothing");
    calm.settles("a", 1, 150);
    calm.settles("a", 1, 150);
    calm.settles("never", 1, 70);
    assert_eq!(calm.month(), 750, "settled once, at what it cost");
    assert!(!calm.reserves("c", 1, 251, 1_000) && calm.reserves("c", 1, 250, 1_000));
}

#[test]
fn a_call_belongs_to_the_month_in_which_it_was_reserved() {
    let calm = Calm::new(1);
    assert!(calm.reserves("a", 1, 900, 1_000));
    calm.forward(31 * 24 * 3_600 * SECOND);
    assert_eq!(calm.month(), 0);
    assert!(calm.reserves("b", 1, 900, 1_000));
    calm.settles("a", 1, 100);
    assert_eq!(calm.month(), 900, "the new month has nothing to do with it");
}

#[test]
fn a_reservation_goes_back_an_hour_later_unless_its_call_is_still_awaited() {
    let calm = Calm::new(1);
    assert!(calm.reserves("a", 1, 400, 1_000));
    let due = calm.world.table.next_due();
    assert_eq!(due, Some(calm.world.clockwork.now() + 3_600 * SECOND));
    let waits_for = |of: &str| {
        let pending = PendingCall { request: hash(of), attempt: 1, reserved: Usd::from_micros(400) };
        calm.stores("1", State::Planning, Some(pending));
    };
    waits_for("a");
    calm.reclaims();
    assert_eq!(calm.month(), 400);
    waits_for("b");
    calm.reclaims();
    assert_eq!(calm.month(), 0, "it waits for another one now");
}

#[test]
fn an_answer_that_came_too_late_costs_what_it_cost() {
    let calm = Calm::new(1);
    assert!(calm.reserves("a", 1, 400, 1_000));
    let answer = ModelAnswer {
        opaque: String::new(),
        text: "yes".to_owned(),
        calls: Vec::new(),
        stop: Stop::EndTurn,
        usage: Usage::default(),
        cost: Usd::from_micros(123),
        model: "m".to_owned(),
        request_id: None,
    };
    let asked = (&hash("a"), 1);
    now(engine::call::store(&calm.engine, &calm.ctx, &ticket("1"), asked, &answer, (Some(Stage::Plan), 5))).unwrap();
    calm.reclaims();
    assert_eq!(calm.month(), 123);
}
