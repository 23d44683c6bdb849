//! Messages nobody can handle, and functions that die at work.

use std::process::Command;
use std::time::Duration;

use stories::cloud::{Cloud, STACK};

use crate::story::{STEP, TAX, is_done_once};

/// Longest until the fifth failure of a message whose visibility is a second.
const FIVE_TIMES: Duration = Duration::from_mins(2);

/// Tells CloudWatch what SQS itself would tell it, and returns the state of the alarm.
fn alarm(cloud: &Cloud, queue: &str, waiting: u64) -> String {
    let dimension = format!("QueueName={STACK}-{queue}-dead");
    let put = ["cloudwatch", "put-metric-data", "--namespace", "AWS/SQS", "--metric-name"];
    let value = ["ApproximateNumberOfMessagesVisible", "--dimensions", &dimension, "--value", &waiting.to_string()];
    cloud.emulator.aws(&[&put[..], &value[..]].concat()).unwrap();
    let all = cloud.emulator.aws(&["cloudwatch", "describe-alarms"]).unwrap();
    let ours = |alarm: &&serde_json::Value| {
        alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
            && alarm["Dimensions"][0]["Value"].as_str() == Some(&format!("{STACK}-{queue}-dead"))
    };
    let alarms = all["MetricAlarms"].as_array().unwrap();
    alarms.iter().find(ours).unwrap()["StateValue"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_recorded_and_redriven() {
    let cloud = Cloud::start(1).await;
    cloud.label(1, "SHOP1-1", "Raise the tax", TAX).await;
    cloud.reaches((1, "SHOP1-1"), &["awaiting_refinement_approval"], STEP).await;
    cloud.sweeps(false);
    let functions = ["plan", "intake"];
    let mut healthy = Vec::new();
    for (name, message) in functions.iter().zip(["a stage's", "a delivery"]) {
        cloud.hidden_for(name, 1);
        if *name == "plan" {
            healthy.push(cloud.break_function(name));
            cloud.say(1, "SHOP1-1", "approve").await;
        } else {
            healthy.push(cloud.break_function(name));
            cloud.label(1, "SHOP1-2", "Raise the tax again", TAX).await;
        }
        let dead = format!("{name}-dead");
        cloud.until(&format!("{message} message among the dead"), FIVE_TIMES, || cloud.waiting(&dead)[0] == 1).await;
        assert_eq!(alarm(&cloud, name, cloud.waiting(&dead)[0]), "ALARM");
    }
    for (name, environment) in functions.iter().zip(&healthy) {
        cloud.mend(name, environment);
        cloud.hidden_for(name, 180);
    }
    cloud.sweeps(true);
    let ticket = cloud.reaches((1, "SHOP1-1"), &["failed"], STEP).await;
    let why = format!("{:?}", ticket.state);
    assert!(why.contains("started several times and never came to an end"), "{why}");
    cloud.say(1, "SHOP1-1", "retry").await;
    cloud.leaves(1, "SHOP1-1", "failed", STEP).await;
    cloud.guided(1, "SHOP1-1", STEP).await;
    // Whatever was accepted is never given up: the delivery was redriven by itself.
    cloud.guided(1, "SHOP1-2", STEP).await;
    is_done_once(&cloud, 1, "SHOP1-1").await;
    is_done_once(&cloud, 1, "SHOP1-2").await;
    for name in functions {
        assert_eq!(cloud.waiting(&format!("{name}-dead")), [0, 0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_killed_at_work_is_made_up_for() {
    let cloud = Cloud::start(1).await;
    cloud.label(1, "SHOP1-1", "Raise the tax", TAX).await;
    cloud.between.hold_once_leased("implementing");
    let held = async {
        cloud.until("a turn that holds its lease", STEP, || cloud.between.held() > 0).await;
        let working = cloud.processes("implement");
        assert!(!working.is_empty(), "nobody works");
        for process in working {
            assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
        }
        cloud.between.release();
    };
    // The message has to come again, and the lease to lapse. Where the message is hidden for twelve minutes, as the
    // template says, the timer sends another one after seven.
    cloud.hidden_for("implement", 60);
    let patience = Duration::from_mins(5);
    tokio::join!(held, cloud.guided(1, "SHOP1-1", patience));
    is_done_once(&cloud, 1, "SHOP1-1").await;
    assert_eq!(cloud.between.doubled_leases(), Vec::new());
}
