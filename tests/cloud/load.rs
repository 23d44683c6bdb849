//! A hundred tickets of twenty tenants at once.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::key::Key;
use engine::port::Index;
use engine::slot::SLOTS;
use stories::cloud::{Cloud, tenant};

use crate::story::{TAX, is_done_once};

/// How many tenants there are.
const TENANTS: usize = 20;
/// How many tickets the first of them has; each of the others has three.
const LOUD: usize = 43;
/// Longest that all of it may take.
const PATIENCE: Duration = Duration::from_mins(12);

/// How many tickets of a tenant are held by a turn now.
async fn running(cloud: &Cloud, number: usize) -> usize {
    let partition = Key::partition_of(&cloud.ctx(number), "TICKETS");
    let tickets = cloud.engine.table.query(Index::Listing, &partition, "", 1_000, None).await.unwrap().items;
    let now = cloud.engine.clock.now();
    tickets.iter().filter(|ticket| ticket.lease_until.is_some_and(|until| until > now)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_tickets_of_twenty_tenants() {
    let cloud = Cloud::start(TENANTS).await;
    let mut open = BTreeSet::new();
    for number in 1..=TENANTS {
        for ticket in 1..=(if number == 1 { LOUD } else { 3 }) {
            open.insert((number, format!("SHOP{number}-{ticket}")));
        }
    }
    let all = open.clone();
    assert_eq!(all.len(), 100);
    for (number, key) in &all {
        cloud.label(*number, key, "Raise the tax", TAX).await;
    }
    let (mut said, mut most) = (BTreeSet::new(), 0);
    let until = cloud.engine.clock.now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    while !open.is_empty() && cloud.engine.clock.now() < until {
        tick.tick().await;
        most = most.max(running(&cloud, 1).await);
        for (number, key) in open.clone() {
            let Some(ticket) = cloud.ticket(number, &key).await else {
                continue;
            };
            let command = match ticket.state.name() {
                "awaiting_answers" => "skip".to_owned(),
                "awaiting_refinement_approval" => "approve".to_owned(),
                "awaiting_plan_approval" => format!("approve {}", ticket.awaiting().unwrap().hash.short()),
                "in_review" => {
                    open.remove(&(number, key));
                    continue;
                }
                "failed" => panic!("{key} of {} failed: {:?}", tenant(number), ticket.state),
                _ => continue,
            };
            if said.insert((key.clone(), command.clone())) {
                cloud.say(number, &key, &command).await;
            }
        }
    }
    assert_eq!(open, BTreeSet::new(), "tickets were lost");
    for (number, key) in &all {
        is_done_once(&cloud, *number, key).await;
    }
    assert!(most <= SLOTS, "{most} turns of one tenant ran at once");
    assert_eq!(cloud.between.doubled_leases(), Vec::new());
    // What this run showed, for whoever reads its output.
    eprintln!("100 tickets, {} leases, at most {most} turns of one tenant at once", cloud.between.leases());
}
