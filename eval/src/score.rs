//! Recall at k, reciprocal rank and processor time, overall and by language.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde::Serialize;

const KS: [usize; 4] = [1, 5, 10, 20];

/// Processor time of this thread in milliseconds.
pub(crate) fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a process does not live long enough for that")]
    let (seconds, nanos) = (time.tv_sec as f64, time.tv_nsec as f64);
    seconds * 1e3 + nanos / 1e6
}

/// What one case gave.
pub(crate) struct Row {
    language: String,
    /// The ranks of the files that the fix changed, from 1, tests left out; those not listed are missing.
    pub(crate) ranks: Vec<usize>,
    wanted: usize,
    index_ms: f64,
    query_ms: f64,
}

impl Row {
    /// Looks up the wanted files in a ranking, without its tests.
    pub(crate) fn of<'a>(
        language: &str,
        wanted: &[String],
        ranked: impl Iterator<Item = &'a str>,
        (index_ms, query_ms): (f64, f64),
    ) -> Self {
        let names: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        let files = ranked.filter(|path| !is_test(path));
        let ranks = files.enumerate().filter(|(_, path)| names.contains(path)).map(|(at, _)| at + 1).collect();
        Self { language: language.to_owned(), ranks, wanted: names.len(), index_ms, query_ms }
    }

    /// The share of the wanted files among the first `k`.
    pub(crate) fn recall(&self, k: usize) -> f64 {
        ratio(self.ranks.iter().filter(|rank| **rank <= k).count(), self.wanted)
    }

    fn reciprocal(&self) -> f64 {
        self.ranks.first().map_or(0.0, |rank| ratio(1, *rank))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of files are small")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// What is left out of rankings, because a fix's tests are not what is looked for; the rule of the set's own scorer.
fn is_test(path: &str) -> bool {
    const FOLDERS: &[&str] = &["test", "tests", "__tests__", "testdata", "spec", "e2e", "fixtures"];
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next().unwrap_or("");
    let camel = [".java", ".kt"].iter().any(|end| name.ends_with(end))
        && ["Test", "Tests"]
            .iter()
            .any(|end| stem.strip_suffix(end).is_some_and(|head| head.ends_with(|c: char| c.is_ascii_lowercase())));
    let infix = ["_test.", ".test.", ".spec."].iter().any(|mark| name.contains(mark));
    let only = ["test", "tests"].contains(&stem) && name.split('.').count() == 2;
    folders.split('/').any(|folder| FOLDERS.contains(&folder))
        || camel
        || infix
        || only
        || name.starts_with("test_")
        || name.starts_with("conftest")
}

/// What all cases gave.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Figures {
    method: String,
    language: String,
    cases: usize,
    recall_at_1: f64,
    recall_at_5: f64,
    recall_at_10: f64,
    recall_at_20: f64,
    mrr: f64,
    index_ms_p50: f64,
    index_ms_p95: f64,
    query_ms_p50: f64,
    query_ms_p95: f64,
}

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn last(&self) -> Option<&Row> {
        self.rows.last()
    }

    fn figures(&self, method: &str, language: Option<&str>) -> Figures {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| language.is_none_or(|only| only == row.language)).collect();
        let mean = |value: &dyn Fn(&Row) -> f64| rows.iter().map(|row| value(row)).sum::<f64>() * ratio(1, rows.len());
        let percent = |k: usize| (mean(&|row| row.recall(k)) * 1_000.0).round() / 10.0;
        let [at_1, at_5, at_10, at_20] = KS.map(percent);
        let percentile = |value: &dyn Fn(&Row) -> f64, hundredth: usize| {
            let mut all: Vec<f64> = rows.iter().map(|row| value(row)).collect();
            all.sort_by(f64::total_cmp);
            let at = (all.len() * hundredth / 100).min(all.len().saturating_sub(1));
            (all.get(at).copied().unwrap_or(0.0) * 10.0).round() / 10.0
        };
        Figures {
            method: method.to_owned(),
            language: language.unwrap_or("all").to_owned(),
            cases: rows.len(),
            recall_at_1: at_1,
            recall_at_5: at_5,
            recall_at_10: at_10,
            recall_at_20: at_20,
            mrr: (mean(&Row::reciprocal) * 1_000.0).round() / 1_000.0,
            index_ms_p50: percentile(&|row| row.index_ms, 50),
            index_ms_p95: percentile(&|row| row.index_ms, 95),
            query_ms_p50: percentile(&|row| row.query_ms, 50),
            query_ms_p95: percentile(&|row| row.query_ms, 95),
        }
    }
}

/// The most memory this process ever had, in MiB; 0 where that cannot be told.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Prints reports side by side, overall and by language.
pub(crate) fn print(reports: &[(&str, &Report)], json: bool) -> anyhow::Result<()> {
    let languages: BTreeSet<&str> =
        reports.iter().flat_map(|(_, report)| report.rows.iter().map(|row| row.language.as_str())).collect();
    let mut all = Vec::new();
    for language in std::iter::once(None).chain(languages.into_iter().map(Some)) {
        all.extend(reports.iter().map(|(name, report)| report.figures(name, language)));
    }
    let mut out = std::io::stdout().lock();
    if json {
        let all = serde_json::json!({ "figures": all, "peak_rss_mib": peak_mib() });
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(());
    }
    writeln!(out, "method     language    cases    @1    @5   @10   @20   MRR  index ms p50/p95  query ms p50/p95")?;
    for f in all {
        writeln!(
            out,
            "{:<10} {:<11} {:>5} {:>5.1} {:>5.1} {:>5.1} {:>5.1} {:>5.3} {:>9.0} {:>6.0} {:>10.1} {:>6.1}",
            f.method,
            f.language,
            f.cases,
            f.recall_at_1,
            f.recall_at_5,
            f.recall_at_10,
            f.recall_at_20,
            f.mrr,
            f.index_ms_p50,
            f.index_ms_p95,
            f.query_ms_p50,
            f.query_ms_p95
        )?;
    }
    writeln!(out, "peak memory of this process, both methods: {} MiB", peak_mib())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_left_out_and_ranks_become_figures() {
        let wanted = ["src/a.py".to_owned(), "src/b.py".to_owned()];
        let ranked = ["tests/test_a.py", "src/a.py", "src/x.py", "src/a_test.go", "src/b.py"];
        let row = Row::of("python", &wanted, ranked.into_iter(), (10.0, 1.0));
        assert_eq!(row.ranks, [1, 3]);
        assert_eq!([1, 5].map(|k| row.recall(k).to_string()), ["0.5", "1"]);
        let mut report = Report::default();
        report.add(row);
        report.add(Row::of("rust", &wanted, ["src/x.rs"].into_iter(), (30.0, 3.0)));
        let all = report.figures("ours", None);
        assert_eq!([all.recall_at_1, all.recall_at_20, all.mrr].map(|f| f.to_string()), ["25", "50", "0.5"]);
        assert_eq!((all.cases, report.figures("ours", Some("rust")).cases), (2, 1));
        for path in ["src/PriceTest.java", "a/tests/x.rs", "x.spec.ts", "conftest.py"] {
            assert!(is_test(path), "{path}");
        }
        for path in ["src/contest.py", "src/latest.rs", "testing/x.py", "src/Tester.java"] {
            assert!(!is_test(path), "{path}");
        }
    }
}
