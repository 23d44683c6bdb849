//! Holds requests and answers against a published `OpenAPI` description, and counts what was held.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use serde_json::{Value, json};

/// A description, loaded once.
pub struct Description {
    name: &'static str,
    whole: Value,
    operations: Vec<Operation>,
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

/// One operation of it.
pub struct Operation {
    /// Its name, such as `issues/create-comment`.
    pub id: String,
    method: String,
    path: Vec<String>,
    described: Value,
}

/// What the checks of a whole process came to.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Requests by description and operation.
    pub requests: BTreeMap<(&'static str, String), usize>,
}

static COUNTED: LazyLock<Mutex<Counted>> = LazyLock::new(Mutex::default);

/// What was checked so far in this process.
pub fn counted() -> Counted {
    COUNTED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// GitHub's REST API.
pub fn github() -> &'static Description {
    static LOADED: OnceLock<Description> = OnceLock::new();
    LOADED.get_or_init(|| Description::load("GitHub", include_str!("../descriptions/github.json")))
}

/// Jira Cloud's REST API, version 3.
pub fn jira() -> &'static Description {
    static LOADED: OnceLock<Description> = OnceLock::new();
    LOADED.get_or_init(|| Description::load("Jira", include_str!("../descriptions/jira.json")))
}

/// Path templates whose last parameter takes in slashes.
const SPANS: [&str; 2] = ["git/ref/{ref}", "git/refs/{ref}"];

impl Description {
    fn load(name: &'static str, text: &str) -> Self {
        let whole: Value = serde_json::from_str(text).unwrap_or_default();
        let mut operations = Vec::new();
        for (path, methods) in whole.get("paths").and_then(Value::as_object).into_iter().flatten() {
            for (method, described) in methods.as_object().into_iter().flatten() {
                let id = described.get("operationId").and_then(Value::as_str).unwrap_or(path).to_owned();
                let parts = path.trim_start_matches('/').split('/').map(str::to_owned).collect();
                operations.push(Operation {
                    id,
                    method: method.to_uppercase(),
                    path: parts,
                    described: described.clone(),
                });
            }
        }
        // A plain word fits better than a place for any word.
        operations.sort_by_key(|operation| operation.path.iter().filter(|part| part.starts_with('{')).count());
        Self { name, whole, operations, compiled: Mutex::default() }
    }

    /// The operation of a method and path, with what stands in its places.
    pub fn find(&self, method: &str, path: &str) -> Option<(&Operation, BTreeMap<String, String>)> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        self.operations
            .iter()
            .filter(|operation| operation.method == method)
            .find_map(|operation| operation.fit(&parts).map(|places| (operation, places)))
    }

    /// Every mistake in a request.
    pub fn request(&self, operation: &Operation, query: &[(String, String)], body: Option<&Value>) -> Vec<String> {
        let key = (self.name, operation.id.clone());
        *COUNTED.lock().unwrap_or_else(PoisonError::into_inner).requests.entry(key).or_default() += 1;
        let mut wrong = Vec::new();
        let parameters = operation.described.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
        let known = |name: &str| parameters.iter().find(|p| p["in"] == "query" && p["name"] == name);
        for (name, value) in query {
            let Some(parameter) = known(name) else {
                wrong.push(format!("there is no query parameter `{name}`"));
                continue;
            };
            let schema = parameter.get("schema").cloned().unwrap_or_default();
            let read = serde_json::from_str::<Value>(value).unwrap_or_else(|_| json!(value));
            // A list may be written with commas.
            let all: Vec<&str> = value.split(',').collect();
            let fits = |value: &Value| self.check(&format!("{} ?{name}", operation.id), &schema, value).is_empty();
            if !fits(&read) && !fits(&json!(value)) && !fits(&json!(all)) {
                wrong.push(format!("`{name}={value}` is not what the description allows"));
            }
        }
        for parameter in parameters.iter().filter(|p| p["in"] == "query" && p["required"] == true) {
            let name = parameter["name"].as_str().unwrap_or_default();
            if !query.iter().any(|(given, _)| given == name) {
                wrong.push(format!("the query parameter `{name}` is missing"));
            }
        }
        let schema = operation.described.pointer("/requestBody/content/application~1json/schema");
        let needed = operation.described.pointer("/requestBody/required") == Some(&json!(true));
        match (schema, body) {
            (Some(schema), Some(body)) => {
                wrong.extend(self.check(&format!("{} body", operation.id), schema, body));
            }
            (None, Some(body)) if !body.as_object().is_some_and(serde_json::Map::is_empty) && !body.is_null() => {
                wrong.push("a body where none is taken".to_owned());
            }
            (Some(_), None) if needed => wrong.push("the body is missing".to_owned()),
            (Some(_) | None, Some(_) | None) => {}
        }
        wrong
    }

    /// Every mistake in an answer of a stand-in.
    pub fn response(&self, operation: &Operation, status: u16, body: &Value) -> Vec<String> {
        let Some(described) = operation.described.pointer(&format!("/responses/{status}")) else {
            // Faults and limits are not described one by one.
            let usual = matches!(status, 401 | 403 | 404 | 410 | 422 | 429 | 500..=599);
            return if usual { Vec::new() } else { vec![format!("{} never answers {status}", operation.id)] };
        };
        match described.pointer("/content/application~1json/schema") {
            Some(schema) => self.check(&format!("{} {status}", operation.id), schema, body),
            None => Vec::new(),
        }
    }

    /// The example that the description gives of an answer.
    pub fn example(&self, id: &str, status: u16) -> Value {
        let operation = self.operations.iter().find(|operation| operation.id == id);
        let content = operation.and_then(|operation| {
            operation.described.pointer(&format!("/responses/{status}/content/application~1json/example"))
        });
        content.cloned().unwrap_or_default()
    }

    fn check(&self, name: &str, schema: &Value, value: &Value) -> Vec<String> {
        let known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let validator = if let Some(validator) = known {
            validator
        } else {
            let whole = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "allOf": [schema],
                "components": self.whole.get("components"),
            });
            let compiled = match jsonschema::validator_for(&whole) {
                Ok(compiled) => Arc::new(compiled),
                Err(error) => return vec![format!("the description of {name} cannot be used: {error}")],
            };
            let mut all = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(name.to_owned(), Arc::clone(&compiled));
            compiled
        };
        validator
            .iter_errors(value)
            .take(5)
            .map(|error| {
                let said: String = error.to_string().chars().take(300).collect();
                format!("{name}: {}: {said}", error.instance_path())
            })
            .collect()
    }
}

impl Operation {
    fn fit(&self, parts: &[&str]) -> Option<BTreeMap<String, String>> {
        let template = self.path.join("/");
        let spans = SPANS.iter().any(|end| template.ends_with(end));
        if parts.len() != self.path.len() && !(spans && parts.len() > self.path.len()) {
            return None;
        }
        let mut places = BTreeMap::new();
        for (at, wanted) in self.path.iter().enumerate() {
            let last = at + 1 == self.path.len();
            let given = if last && spans { parts.get(at..)?.join("/") } else { (*parts.get(at)?).to_owned() };
            match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) => {
                    places.insert(name.to_owned(), given);
                }
                None if *wanted == given => {}
                None => return None,
            }
        }
        Some(places)
    }
}
