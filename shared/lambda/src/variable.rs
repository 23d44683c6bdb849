//! Configuration from the environment: typed, and every mistake is named at once.

use std::fmt;

use domain::name::ModelName;
use thiserror::Error;

/// Every variable that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the environment is not complete: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

/// A value that a variable of the environment can have.
pub trait Variable: Sized {
    /// Reads it; an error says what would be right.
    fn read(text: Option<String>) -> Result<Self, String>;
}

fn present(text: Option<String>) -> Result<String, String> {
    text.filter(|text| !text.trim().is_empty()).ok_or_else(|| "is missing".to_owned())
}

impl Variable for String {
    fn read(text: Option<String>) -> Result<Self, String> {
        present(text)
    }
}

impl Variable for Option<String> {
    fn read(text: Option<String>) -> Result<Self, String> {
        Ok(text.filter(|text| !text.trim().is_empty()))
    }
}

impl Variable for Option<ModelName> {
    fn read(text: Option<String>) -> Result<Self, String> {
        let text = text.filter(|text| !text.trim().is_empty());
        text.map(|text| ModelName::parse(&text).map_err(|error| error.to_string())).transpose()
    }
}

/// The name of a thing in AWS: `arn:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arn(String);

impl Variable for Arn {
    fn read(text: Option<String>) -> Result<Self, String> {
        let text = present(text)?;
        let whole = text.starts_with("arn:") && text.split(':').count() >= 6;
        if whole { Ok(Self(text)) } else { Err("must be an ARN, as `arn:aws:service:region:account:name`".to_owned()) }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the addresses of all queues of a stack begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Variable for Prefix {
    fn read(text: Option<String>) -> Result<Self, String> {
        let text = present(text)?;
        if text.starts_with("https://") || text.starts_with("http://") {
            Ok(Self(text))
        } else {
            Err("must be an address, as `https://sqs.eu-central-1.amazonaws.com/123456789012/prfactory-`".to_owned())
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads variables and collects what is wrong with them.
#[derive(Debug, Default)]
pub struct Reader {
    wrong: Vec<String>,
}

impl Reader {
    /// Reads one variable; `None` when it is wrong.
    pub fn read<T: Variable>(&mut self, name: &str) -> Option<T> {
        #[expect(clippy::disallowed_methods, reason = "this is where a function reads its environment")]
        let text = std::env::var(name).ok();
        T::read(text).map_err(|why| self.wrong.push(format!("{name} {why}"))).ok()
    }

    /// What was read, unless something was wrong.
    pub fn end<T>(self, all: Option<T>) -> Result<T, ConfigError> {
        all.ok_or(ConfigError(self.wrong))
    }
}

/// Makes a function's `Config`, read with `Config::from_env()`: `config! { queues: Prefix = "QUEUE_PREFIX" }`.
#[macro_export]
macro_rules! config {
    ($($field:ident: $kind:ty = $name:literal),+ $(,)?) => {
        /// What this function is told by its environment.
        struct Config {
            $($field: $kind),+
        }

        impl Config {
            fn from_env() -> Result<Self, $crate::ConfigError> {
                let mut reader = $crate::Reader::default();
                $(let $field = reader.read::<$kind>($name);)+
                let all = (|| Some(Self { $($field: $field?),+ }))();
                reader.end(all)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_at_once() {
        crate::config! {
            nothing: String = "PRFACTORY_TEST_NOT_THERE",
            path: Arn = "PATH",
            queues: Prefix = "PATH",
            model: Option<String> = "PRFACTORY_TEST_NOT_THERE_EITHER",
        }
        let Err(ConfigError(wrong)) = Config::from_env().map(|c| (c.nothing, c.path, c.queues, c.model)) else {
            panic!("that environment is not complete");
        };
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert_eq!(wrong[0], "PRFACTORY_TEST_NOT_THERE is missing");
        assert!(wrong[1].starts_with("PATH must be an ARN"), "{}", wrong[1]);
    }

    #[test]
    fn a_value_has_to_look_like_what_it_is() {
        let arn = "arn:aws:kms:eu-central-1:123456789012:key/1";
        assert_eq!(Arn::read(Some(arn.to_owned())).unwrap().to_string(), arn);
        assert!(Arn::read(Some("arn:aws".to_owned())).is_err());
        assert_eq!(Option::<String>::read(Some(" ".to_owned())), Ok(None));
        assert!(Prefix::read(Some("prfactory-".to_owned())).is_err());
    }
}
