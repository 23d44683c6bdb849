//! A row as DynamoDB keeps it: whole numbers of the body as numbers, so that they can be added to; the rest as JSON.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::Timestamp;
use engine::key::Key;
use engine::port::{Item, TableError};
use serde_json::{Map, Value};

/// Attributes by name.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// What a body's field is called: its own names can never be those of ours.
const FIELD: &str = "b.";
/// Where a body stands that is no object.
const WHOLE: &str = "b";
/// Largest item that DynamoDB keeps, names included.
const LARGEST: usize = 400 * 1024;
/// How many partitions the `due` index is spread over.
pub(super) const SHARDS: u8 = 4;

pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

pub(super) fn time(at: Timestamp) -> AttributeValue {
    number(at.as_microsecond())
}

pub(super) fn field_name(field: &str) -> String {
    format!("{FIELD}{field}")
}

pub(super) fn key(key: &Key) -> Attributes {
    HashMap::from([("pk".to_owned(), text(key.partition())), ("sk".to_owned(), text(key.sort()))])
}

/// The partition of the `due` index in which a row stands.
pub(super) fn shard(number: u8) -> String {
    format!("DUE#{number}")
}

fn shard_of(key: &Key) -> String {
    let sum = key.partition().bytes().chain(key.sort().bytes()).fold(0u8, u8::wrapping_add);
    shard(sum % SHARDS)
}

/// Writes a row down.
pub(super) fn attributes(item: &Item) -> Result<Attributes, TableError> {
    let mut all = key(&item.key);
    let mut set = |name: &str, value: AttributeValue| all.insert(name.to_owned(), value);
    set("ver", number(item.version));
    set("fence", number(item.fence));
    if let Some(until) = item.lease_until {
        set("lease", time(until));
    }
    if let Some((partition, sort)) = &item.listing {
        set("lpk", text(partition));
        set("lsk", text(sort));
    }
    if let Some(due) = item.due {
        set("dpk", text(&shard_of(&item.key)));
        set("due", time(due));
    }
    if let Some(at) = item.expires {
        set("expires", time(at));
        // DynamoDB's own clean-up reads whole seconds, and comes up to days later.
        set("ttl", number(at.as_second()));
    }
    match &item.body {
        Value::Object(fields) => {
            for (name, value) in fields {
                let value = value.as_i64().map_or_else(|| text(&value.to_string()), number);
                all.insert(field_name(name), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            all.insert(WHOLE.to_owned(), text(&item.body.to_string()));
        }
    }
    let size: usize = all.iter().map(|(name, value)| name.len() + length(value)).sum();
    if size > LARGEST {
        return Err(TableError::Invalid(format!("{} is larger than {LARGEST} bytes", item.key.sort())));
    }
    Ok(all)
}

fn length(value: &AttributeValue) -> usize {
    value.as_s().or_else(|other| other.as_n()).map_or(0, String::len)
}

fn string(all: &mut Attributes, name: &str) -> Option<String> {
    match all.remove(name) {
        Some(AttributeValue::S(text)) => Some(text),
        _ => None,
    }
}

fn whole<T: std::str::FromStr>(all: &Attributes, name: &str) -> Option<T> {
    all.get(name)?.as_n().ok()?.parse().ok()
}

fn at(all: &Attributes, name: &str) -> Option<Timestamp> {
    Timestamp::from_microsecond(whole(all, name)?).ok()
}

/// Reads the key of a row, or of an index entry.
pub(super) fn read_key(all: &mut Attributes) -> Result<Key, TableError> {
    let lost = || TableError::Invalid("a stored row has no key".to_owned());
    let (partition, sort) = (string(all, "pk").ok_or_else(lost)?, string(all, "sk").ok_or_else(lost)?);
    Ok(Key::stored(partition, sort))
}

/// When an index entry is due, in microseconds.
pub(super) fn due_of(all: &Attributes) -> i64 {
    whole(all, "due").unwrap_or(i64::MAX)
}

/// Reads a row.
pub(super) fn item(mut all: Attributes) -> Result<Item, TableError> {
    let key = read_key(&mut all)?;
    let unreadable = |_| TableError::Invalid(format!("row {} cannot be read", key.sort()));
    let listing = string(&mut all, "lpk").zip(string(&mut all, "lsk"));
    let (version, fence) = (whole(&all, "ver").unwrap_or(0), whole(&all, "fence").unwrap_or(0));
    let (lease_until, due, expires) = (at(&all, "lease"), at(&all, "due"), at(&all, "expires"));
    let body = if let Some(json) = string(&mut all, WHOLE) {
        serde_json::from_str(&json).map_err(unreadable)?
    } else {
        let mut fields = Map::new();
        for (name, value) in all {
            if let Some(name) = name.strip_prefix(FIELD) {
                let json = value.as_s().or_else(|other| other.as_n()).map_or("null", String::as_str);
                fields.insert(name.to_owned(), serde_json::from_str(json).map_err(unreadable)?);
            }
        }
        Value::Object(fields)
    };
    Ok(Item { key, version, fence, lease_until, listing, due, expires, body })
}

#[cfg(test)]
mod tests {
    use engine::port::Item;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_comes_back_as_it_was() {
        let key = Key::stored("T#ten_a#X".to_owned(), "ROW#1".to_owned());
        for body in [
            json!({}),
            json!([1, "two"]),
            json!("text"),
            json!(7),
            json!({ "n": -3, "big": u64::MAX, "f": 1.5, "s": "5", "none": null, "deep": { "b": [1, { "x": "\u{1F600}" }] }, "": "empty" }),
        ] {
            let mut row = Item::new(key.clone(), body);
            row.fence = 4;
            row.lease_until = Some("2026-01-02T03:04:05.000006Z".parse().unwrap());
            row.listing = Some(("T#ten_a#TICKETS".to_owned(), "open#1".to_owned()));
            row.due = Some("2026-01-02T03:04:05Z".parse().unwrap());
            row.expires = Some("2026-02-02T03:04:05Z".parse().unwrap());
            assert_eq!(item(attributes(&row).unwrap()).unwrap(), row);
        }
        let large = Item::new(key, json!({ "s": "x".repeat(LARGEST) }));
        assert!(matches!(attributes(&large), Err(TableError::Invalid(_))));
    }
}
