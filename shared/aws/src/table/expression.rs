//! Conditions and writes in DynamoDB's own words.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, TransactWriteItem, Update};
use engine::key::Key;
use engine::port::{Condition, TableError, Write};

use super::item::{self, Attributes};

/// A condition as text, and the values it names.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Expression {
    /// The text; absent when anything goes.
    pub(super) text: Option<String>,
    /// The values; absent when there are none.
    pub(super) values: Option<Attributes>,
}

/// Says in DynamoDB's words what must hold.
pub(super) fn conditions(when: &[Condition]) -> Expression {
    if when.is_empty() {
        return Expression::default();
    }
    let mut values = Attributes::new();
    let parts: Vec<String> = when
        .iter()
        .enumerate()
        .map(|(number, condition)| {
            let name = format!(":c{number}");
            let (text, value) = match condition {
                Condition::NotExists { now } => {
                    (format!("(attribute_not_exists(pk) OR expires <= {name})"), item::time(*now))
                }
                Condition::VersionIs(version) => (format!("ver = {name}"), item::number(*version)),
                Condition::FenceIs(fence) => (format!("fence = {name}"), item::number(*fence)),
                Condition::NotBefore(time) => {
                    (format!("(attribute_not_exists(lease) OR lease <= {name})"), item::time(*time))
                }
            };
            values.insert(name, value);
            text
        })
        .collect();
    Expression { text: Some(parts.join(" AND ")), values: Some(values) }
}

/// Adding to a number, making number and row where absent.
pub(super) const ADDS: &str = "SET #f = if_not_exists(#f, :zero) + :amount, ver = if_not_exists(ver, :one) + :one, fence = if_not_exists(fence, :zero)";

/// What [`ADDS`] and its condition name.
pub(super) struct Addition {
    /// The condition that keeps the sum within its limit.
    pub(super) condition: Option<String>,
    /// The names.
    pub(super) names: HashMap<String, String>,
    /// The values.
    pub(super) values: Attributes,
}

/// Says in DynamoDB's words what is added, and how far.
pub(super) fn addition(field: &str, amount: i64, at_most: Option<i64>) -> Addition {
    let mut values = HashMap::from([
        (":zero".to_owned(), item::number(0)),
        (":one".to_owned(), item::number(1)),
        (":amount".to_owned(), item::number(amount)),
    ]);
    let condition = at_most.map(|limit| {
        values.insert(":room".to_owned(), item::number(limit.saturating_sub(amount)));
        // Where there is no number yet, the sum is the amount.
        if amount <= limit { "(attribute_not_exists(#f) OR #f <= :room)" } else { "#f <= :room" }.to_owned()
    });
    Addition { condition, names: HashMap::from([("#f".to_owned(), item::field_name(field))]), values }
}

/// The row a write is about.
pub(super) fn key_of(write: &Write) -> &Key {
    match write {
        Write::Put { item, .. } => &item.key,
        Write::Add { key, .. } | Write::Delete { key, .. } | Write::Check { key, .. } => key,
    }
}

fn incomplete(_: aws_sdk_dynamodb::error::BuildError) -> TableError {
    TableError::Invalid("a write cannot be put together".to_owned())
}

/// A write as one of several.
pub(super) fn transacted(table: &str, write: &Write) -> Result<TransactWriteItem, TableError> {
    let entry = TransactWriteItem::builder();
    let entry = match write {
        Write::Put { item, when } => {
            let when = conditions(when);
            let put = Put::builder().table_name(table).set_item(Some(item::attributes(item)?));
            let put = put.set_condition_expression(when.text).set_expression_attribute_values(when.values);
            entry.put(put.build().map_err(incomplete)?)
        }
        Write::Add { key, field, amount, at_most } => {
            let added = addition(field, *amount, *at_most);
            let update = Update::builder().table_name(table).set_key(Some(item::key(key))).update_expression(ADDS);
            let update = update.set_condition_expression(added.condition);
            let update = update.set_expression_attribute_names(Some(added.names));
            entry.update(update.set_expression_attribute_values(Some(added.values)).build().map_err(incomplete)?)
        }
        Write::Delete { key, when } => {
            let when = conditions(when);
            let delete = Delete::builder().table_name(table).set_key(Some(item::key(key)));
            let delete = delete.set_condition_expression(when.text).set_expression_attribute_values(when.values);
            entry.delete(delete.build().map_err(incomplete)?)
        }
        Write::Check { key, when } => {
            let when = conditions(when);
            let always = || "attribute_exists(pk) OR attribute_not_exists(pk)".to_owned();
            let check = ConditionCheck::builder().table_name(table).set_key(Some(item::key(key)));
            let check = check.condition_expression(when.text.unwrap_or_else(always));
            entry.condition_check(check.set_expression_attribute_values(when.values).build().map_err(incomplete)?)
        }
    };
    Ok(entry.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(when: &[Condition], text: &str) {
        assert_eq!(conditions(when).text.as_deref(), Some(text));
    }

    #[test]
    fn conditions_are_said_in_dynamodbs_words() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(conditions(&[]), Expression::default());
        check(&[Condition::NotExists { now }], "(attribute_not_exists(pk) OR expires <= :c0)");
        check(
            &[Condition::VersionIs(3), Condition::NotBefore(now)],
            "ver = :c0 AND (attribute_not_exists(lease) OR lease <= :c1)",
        );
        let both = conditions(&[Condition::VersionIs(3), Condition::FenceIs(9)]).values.unwrap();
        assert_eq!((&both[":c0"], &both[":c1"]), (&item::number(3), &item::number(9)));
    }

    #[test]
    fn a_sum_never_passes_its_limit_not_even_as_the_first() {
        let fits = addition("n", 3, Some(10));
        assert_eq!(fits.condition.as_deref(), Some("(attribute_not_exists(#f) OR #f <= :room)"));
        assert_eq!(fits.values[":room"], item::number(7));
        let first = addition("n", 11, Some(10));
        assert_eq!(first.condition.as_deref(), Some("#f <= :room"), "a row that is absent has no room either");
        assert_eq!(addition("n", 11, None).condition, None);
    }
}
