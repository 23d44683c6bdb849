//! Many tickets spend one month's money at the same time.

use domain::money::Usd;
use domain::state::{PauseReason, State};
use engine::{call, spend};
use stories::world::{Setup, World};

const TICKETS: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_tickets_at_once_never_spend_more_than_the_month_has() {
    let policy = "monthly_budget_usd = \"2.00\"\nbudget_usd = \"1.00\"\nskip_refinement_approval = true";
    let world = World::start(Setup { policy: policy.to_owned(), workers: 8, ..Setup::default() }).await;
    let (engine, client) = (&world.system.engine, world.client("ada"));
    let ctx = client.ctx();
    let key = |number: usize| format!("SHOP-{number}");
    for number in 1..=TICKETS {
        let body = "Replace `TAX = 0.2` with `TAX = 0.25` in `src/price.py`.";
        assert_eq!(world.jira(&world.labelled(&key(number), "Tax", body)).await, 202);
    }
    let month = Usd::from_dollars(2);
    let mut most = Usd::ZERO;
    let (mut paused, mut waiting);
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
    loop {
        tick.tick().await;
        let spent = spend::this_month(engine, ctx).await.unwrap();
        assert!(spent <= month, "{spent} spent and reserved of {month}");
        most = most.max(spent);
        let tickets = engine::ticket::list(engine, ctx).await.unwrap();
        let stopped = |ticket: &&domain::ticket::Ticket| {
            matches!(ticket.state, State::Paused { why: PauseReason::MonthlyBudget, .. })
        };
        paused = tickets.iter().filter(stopped).count();
        waiting = tickets.iter().filter(|ticket| ticket.state.name() == "awaiting_plan_approval").count();
        if paused + waiting == TICKETS {
            break;
        }
    }
    let mut cost = Usd::ZERO;
    for number in 1..=TICKETS {
        let ticket = world.ticket(&key(number)).await.unwrap();
        let mut own = Usd::ZERO;
        for record in call::list(engine, ctx, &ticket.id).await.unwrap() {
            own += record.cost;
        }
        assert_eq!(own, ticket.budget.spent, "{}", ticket.key);
        assert!(own <= ticket.budget.limit, "{own}");
        cost += own;
    }
    let at_rest = spend::this_month(engine, ctx).await.unwrap();
    println!(
        "{TICKETS} tickets: {cost} spent, {most} the most with reservations, of {month}; {paused} paused, {waiting} planned"
    );
    assert_eq!(cost, at_rest, "nothing stays reserved");
    assert!(paused > 0 && waiting > 0, "the budget must be met by some and not by all");
    world.end().await;
}
