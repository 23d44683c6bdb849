//! What a call costs: dated prices as data, an estimate before, the sum after.

use std::sync::LazyLock;

use domain::money::Usd;
use engine::port::{Block, ModelRequest, Usage, Utterance};
use serde::Deserialize;

/// The model that is used when neither tenant nor ticket names one.
pub const DEFAULT_MODEL: &str = "claude-sonnet-5-5";

#[derive(Deserialize)]
struct Prices {
    model: Vec<Price>,
}

/// Dollars per million tokens.
#[derive(Clone, Deserialize)]
struct Price {
    name: String,
    input: f64,
    output: f64,
    cache_read: f64,
    /// Whole requests that read no more than this many tokens have the prices of `small`.
    #[serde(default)]
    small_up_to: u64,
    #[serde(default)]
    small: Option<Small>,
}

#[derive(Clone, Copy, Deserialize)]
struct Small {
    input: f64,
    output: f64,
    cache_read: f64,
}

/// Writing to the cache costs this much more than reading at full price, for minutes and for an hour.
const CACHE_WRITE: f64 = 1.25;
const CACHE_WRITE_LONG: f64 = 2.0;

/// Bytes that are counted as one token before a call; a little on the safe side.
const BYTES_PER_TOKEN: u64 = 3;
/// Most tokens that one image takes.
const IMAGE: u64 = 5_000;

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
    let small = |price: &Price| price.small.filter(|_| usage.total_input() <= price.small_up_to);
    priced(model, usage, &small)
}

fn priced(model: &str, usage: &Usage, small: &dyn Fn(&Price) -> Option<Small>) -> Usd {
    price_of(model).map_or(Usd::ZERO, |price| {
        let full = Small { input: price.input, output: price.output, cache_read: price.cache_read };
        let Small { input, output, cache_read } = small(&price).unwrap_or(full);
        dollars(
            millions(usage.input) * input
                + millions(usage.output) * output
                + millions(usage.cache_read) * cache_read
                + millions(usage.cache_write) * input * CACHE_WRITE
                + millions(usage.cache_write_long) * input * CACHE_WRITE_LONG,
        )
    })
}

/// Most a call can cost: nothing of it is in a cache, all of it is written to one, and the answer is as long as it may
/// be. What is the same in every conversation (tools and rules) is kept longer, at a higher price.
pub fn most(request: &ModelRequest) -> Usd {
    let model = request.model.as_ref().map_or(DEFAULT_MODEL, |model| model.as_str());
    let bytes = |value: serde_json::Result<Vec<u8>>| value.map_or(0, |bytes| bytes.len() as u64);
    let steady = bytes(serde_json::to_vec(&(&request.system, &request.tools)));
    let moving = bytes(serde_json::to_vec(&request.messages));
    let blocks = request.messages.iter().flat_map(|message| match message {
        Utterance::User { blocks } => blocks.as_slice(),
        Utterance::Assistant { .. } => &[],
    });
    let images = blocks.filter(|block| matches!(block, Block::Image(_))).count() as u64;
    let usage = Usage {
        cache_write: moving / BYTES_PER_TOKEN + images * IMAGE,
        cache_write_long: steady / BYTES_PER_TOKEN,
        output: u64::from(request.max_tokens),
        ..Usage::default()
    };
    // An estimate that is a little short must not bring a price that is a fifth.
    priced(model, &usage, &|_| None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_costs_what_its_tokens_cost() {
        let usage = Usage { input: 1_000_000, output: 100_000, cache_read: 1_000_000, ..Usage::default() };
        assert_eq!(cost("claude-sonnet-5-5", &usage).to_string(), "$3.10");
        assert_eq!(cost("claude-sonnet-5-5-20261007", &usage).to_string(), "$3.10");
        assert_eq!(cost("never-heard-of", &usage).to_string(), "$15.25");
        let written = Usage { cache_write: 1_000_000, cache_write_long: 1_000_000, ..Usage::default() };
        assert_eq!(cost("claude-sonnet-5-5", &written).to_string(), "$6.50");
    }

    #[test]
    fn a_small_request_can_be_cheaper_as_a_whole() {
        let usage = |input| Usage { input, output: 10_000, ..Usage::default() };
        assert_eq!(cost("claude-haiku-5-5", &usage(100_000)).micros(), 15_001, "rounded up");
        assert_eq!(cost("claude-haiku-5-5", &usage(100_001)).micros(), 75_001);
    }
}
