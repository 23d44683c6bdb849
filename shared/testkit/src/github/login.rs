//! People who sign in by the device flow, and what they may see and administer.

use domain::Timestamp;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::answer::page;
use super::serve::{Ask, Caller, Reply, missing};
use super::state::{Device, Entered, Installation, Repo, State};
use super::{APP, CLIENT, GithubHost, Inner, wire};

/// What a person's token is good for here.
pub(super) const OPERATIONS: [&str; 4] = [
    "users/get-authenticated",
    "apps/list-installations-for-authenticated-user",
    "apps/list-installation-repos-for-authenticated-user",
    "orgs/get-membership-for-authenticated-user",
];

/// How long a code may be entered.
const GOOD: SignedDuration = SignedDuration::from_mins(15);

/// Answers what is no part of the API: codes, and tokens for those that were entered.
pub(super) fn answer(inner: &Inner, path: &str, body: &Value) -> Reply {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let now = (inner.clock)();
    let mut state = inner.state();
    if text("client_id") != CLIENT {
        return missing();
    }
    match path {
        "/login/device/code" => {
            let number = state.id();
            let (secret, user) = (format!("device-{number}"), format!("CODE-{number}"));
            let shown = json!({
                "device_code": secret, "user_code": user, "verification_uri": "https://github.test/login/device",
                "expires_in": GOOD.as_secs(), "interval": 1 });
            state.devices.push(Device { secret, user, entered: Entered::Waiting, until: now + GOOD });
            (200, shown)
        }
        "/login/oauth/access_token" => {
            if text("grant_type") != "urn:ietf:params:oauth:grant-type:device_code" {
                state.wrong.push("a token was asked for with another grant".to_owned());
            }
            (200, token(&mut state, text("device_code"), now))
        }
        _ => missing(),
    }
}

/// Errors come with 200 there.
fn token(state: &mut State, device: &str, now: Timestamp) -> Value {
    let error = |what: &str| json!({ "error": what, "error_description": what });
    let Some(at) = state.devices.iter().position(|known| known.secret == device) else {
        return error("incorrect_device_code");
    };
    match state.devices.get(at).map(|known| (known.entered, known.until)) {
        Some((_, until)) if until <= now => error("expired_token"),
        Some((Entered::Waiting, _)) | None => error("authorization_pending"),
        Some((Entered::Declined, _)) => error("access_denied"),
        Some((Entered::By(person), _)) => {
            // A code is good once.
            state.devices.remove(at);
            let token = format!("ghu_{}", state.id());
            state.people.insert(token.clone(), person);
            json!({ "access_token": token, "token_type": "bearer", "scope": "" })
        }
    }
}

/// Whether a person sees a repository of an installation.
fn sees(repo: &Repo, person: u64) -> bool {
    repo.access.get(&person).is_some_and(|access| *access != "none")
}

fn owns(state: &State, account: &str, person: u64) -> bool {
    state.owners.get(account).is_some_and(|owners| owners.contains(&person))
}

/// Carries out an operation for a person.
pub(super) fn for_person(ask: &Ask<'_>, operation: &str) -> Reply {
    let state = ask.inner.state();
    let Caller::Person(person) = ask.caller else {
        return missing();
    };
    let seen = |installation: &Installation| -> Vec<Repo> {
        let inside = state.repos.iter().filter(|repo| installation.repos.contains(&repo.id));
        inside.filter(|repo| sees(repo, person) || owns(&state, &installation.account, person)).cloned().collect()
    };
    match operation {
        "users/get-authenticated" => {
            let login = state.user(person).map(|user| user.login.clone());
            (200, wire::like(operation, 200, &[("/id", json!(person)), ("/login", json!(login))]))
        }
        "orgs/get-membership-for-authenticated-user" => {
            let organisation = ask.place("org");
            let member = state.installations.iter().any(|i| i.account == organisation && !seen(i).is_empty());
            if !member {
                return missing();
            }
            let role = if owns(&state, organisation, person) { "admin" } else { "member" };
            (200, wire::like(operation, 200, &[("/state", json!("active")), ("/role", json!(role))]))
        }
        "apps/list-installations-for-authenticated-user" => {
            let all = state.installations.iter().filter(|i| i.live && !seen(i).is_empty());
            let all: Vec<Value> = all.map(|i| wire::installation(&state, i, APP)).collect();
            let total = all.len();
            (200, json!({ "total_count": total, "installations": page(ask, all) }))
        }
        _ => {
            let number = ask.number("installation_id");
            let Some(found) = state.installations.iter().find(|i| i.live && i.id == number) else { return missing() };
            let all: Vec<Value> = seen(found).iter().map(wire::repository).collect();
            let total = all.len();
            (200, json!({ "total_count": total, "repositories": page(ask, all) }))
        }
    }
}

impl GithubHost {
    /// Makes a person the owner of an organisation.
    pub fn owns(&self, organisation: &str, login: &str) {
        let mut state = self.inner.state();
        let id = state.login(login).map_or(0, |user| user.id);
        state.owners.entry(organisation.to_owned()).or_default().insert(id);
    }

    /// A person enters a code, and agrees or not; says whether there is such a code.
    pub fn enters(&self, login: &str, code: &str, agrees: bool) -> bool {
        let mut state = self.inner.state();
        let id = state.login(login).map_or(0, |user| user.id);
        let entered = if agrees { Entered::By(id) } else { Entered::Declined };
        let waiting = state.devices.iter_mut().find(|known| known.user == code && known.entered == Entered::Waiting);
        waiting.map(|known| known.entered = entered).is_some()
    }
}
