//! Logs: one JSON object a line on standard output, where CloudWatch takes them.

use tracing::level_filters::LevelFilter;

use crate::variable::Reader;

/// Begins to log, at the level the function's `LoggingConfig` asks for.
pub(crate) fn begin() {
    let asked = Reader::default().read::<String>("AWS_LAMBDA_LOG_LEVEL");
    let level = asked.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let logs = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(true).with_span_list(false);
    // A second beginning in one process, as a test may make it, changes nothing.
    let _ = logs.with_max_level(level).with_target(false).try_init();
}
