//! Metrics in CloudWatch's embedded format: a log line that becomes numbers, without a call.

use domain::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of every metric.
pub(crate) const NAMESPACE: &str = "PRFactory";

/// One line of metrics of a function. Never by tenant: each value of a dimension is billed as a metric of its own.
pub(crate) fn line(function: &str, now: Timestamp, metrics: &[(&str, &str, f64)]) -> String {
    let named: Vec<Value> = metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": named }],
        }),
    );
    line.insert("Function".to_owned(), json!(function));
    for (name, _, value) in metrics {
        line.insert((*name).to_owned(), json!(value));
    }
    Value::Object(line).to_string()
}

/// Writes one line of metrics.
#[expect(clippy::print_stdout, reason = "standard output is where CloudWatch takes metrics from")]
pub(crate) fn emit(function: &str, now: Timestamp, metrics: &[(&str, &str, f64)]) {
    println!("{}", line(function, now, metrics));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let line: Value = serde_json::from_str(&line("plan", now, &[("Messages", "Count", 3.0)])).unwrap();
        let expected = json!({
            "_aws": { "Timestamp": 1_767_323_045_000_i64, "CloudWatchMetrics": [{
                "Namespace": "PRFactory", "Dimensions": [["Function"]],
                "Metrics": [{ "Name": "Messages", "Unit": "Count" }] }] },
            "Function": "plan", "Messages": 3.0 });
        assert_eq!(line, expected);
    }
}
