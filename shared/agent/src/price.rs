//! What a call costs: dated prices as data, an estimate before, the sum after.

use std::sync::LazyLock;

use domain::money::Usd;
use engine::port::{ModelRequest, Usage};
use serde::Deserialize;

/// The model that is used when neither tenant nor ticket names one.
pub const DEFAULT_MODEL: &str = "claude-sonnet-5-5";

#[derive(Deserialize)]
struct Prices {
    model: Vec<Price>,
}

#[derive(Clone, Deserialize)]
struct Price {
    name: String,
    input: f64,
    output: f64,
    cache_read: f64,
}

/// Writing to the cache costs this much more than reading at full price.
const CACHE_WRITE: f64 = 1.25;

static PRICES: LazyLock<Vec<Price>> =
    LazyLock::new(|| toml::from_str::<Prices>(include_str!("../prices.toml")).map(|p| p.model).unwrap_or_default());

/// The price of a model; an unknown one is taken for the dearest, so that budgets hold.
fn price_of(model: &str) -> Option<Price> {
    let named = PRICES.iter().find(|price| model.starts_with(&price.name));
    named.or_else(|| PRICES.iter().max_by(|a, b| a.output.total_cmp(&b.output))).cloned()
}

fn dollars(amount: f64) -> Usd {
    #[expect(clippy::cast_possible_truncation, reason = "prices times tokens stay far below 2^53 micro-dollars")]
    Usd::from_micros((amount * 1_000_000.0).ceil() as i64)
}

fn millions(tokens: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "token counts stay far below 2^53")]
    let tokens = tokens as f64;
    tokens / 1_000_000.0
}

/// What a call cost.
pub fn cost(model: &str, usage: &Usage) -> Usd {
    price_of(model).map_or(Usd::ZERO, |price| {
        dollars(
            millions(usage.input) * price.input
                + millions(usage.output) * price.output
                + millions(usage.cache_read) * price.cache_read
                + millions(usage.cache_write) * price.input * CACHE_WRITE,
        )
    })
}

/// Most a call can cost: every byte of the request at a third of a token, every token it may answer with.
pub fn most(request: &ModelRequest) -> Usd {
    let model = request.model.as_ref().map_or(DEFAULT_MODEL, |model| model.as_str());
    let bytes = serde_json::to_vec(request).map_or(0, |bytes| bytes.len() as u64);
    let usage = Usage { cache_write: bytes / 3, output: u64::from(request.max_tokens), ..Usage::default() };
    cost(model, &usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_costs_what_its_tokens_cost() {
        let usage = Usage { input: 1_000_000, output: 100_000, cache_read: 1_000_000, cache_write: 0 };
        assert_eq!(cost("claude-sonnet-5-5", &usage).to_string(), "$3.10");
        assert_eq!(cost("claude-sonnet-5-5-20261007", &usage).to_string(), "$3.10");
        assert_eq!(cost("never-heard-of", &usage).to_string(), "$15.25");
    }
}
