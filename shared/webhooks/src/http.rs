//! A request and an answer, free of any HTTP library.

use serde_json::json;

/// A request as it came in; the body is raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `POST` and the like.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// Names in any case, in order, repeated where they were.
    pub headers: Vec<(String, String)>,
    /// The raw bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Response {
    /// Accepted: the delivery is queued and cannot be lost.
    pub fn accepted() -> Self {
        Self { status: 202, content_type: "application/json", body: "{\"status\":\"accepted\"}".to_owned() }
    }

    /// A problem as RFC 9457 has it; the type is stable, the detail is for people.
    pub fn problem(status: u16, kind: &str, title: &str, detail: &str) -> Self {
        let body =
            json!({ "type": format!("urn:prfactory:{kind}"), "title": title, "status": status, "detail": detail });
        Self { status, content_type: "application/problem+json", body: body.to_string() }
    }
}
