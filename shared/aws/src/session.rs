//! A tenant's own identity: the tenant's role, assumed with the tenant's name as a tag.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::Client;
use aws_sdk_sts::types::Tag;
use domain::id::TenantId;

use crate::access::Access;
use crate::refused::Refused;

/// Makes sessions of tenants; what such a session may touch is held to the tenant by the role's policy.
#[derive(Clone)]
pub struct TenantSessions {
    inner: Arc<Inner>,
}

struct Inner {
    access: Access,
    sts: Client,
    role: String,
    /// One identity a tenant, shared by every client, so that each assumes the role once.
    known: Mutex<HashMap<TenantId, Access>>,
}

/// How long a session lasts: the longest that a role assumed by a role may.
const LASTS: i32 = 3_600;
/// How many tenants are kept in mind; beyond, all are forgotten and assumed anew.
const KEPT: usize = 1_000;

impl TenantSessions {
    /// Assumes this role, given by its ARN.
    pub fn new(access: &Access, role: impl Into<String>) -> Self {
        let inner = Inner {
            access: access.clone(),
            sts: Client::new(access.config()),
            role: role.into(),
            known: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The connections of this process under a tenant's identity.
    pub fn access(&self, tenant: &TenantId) -> Access {
        let mut known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        let made = known.entry(tenant.clone()).or_insert_with(|| {
            let session = Session { inner: Arc::clone(&self.inner), tenant: tenant.clone() };
            self.inner.access.identified(SharedCredentialsProvider::new(session))
        });
        made.clone()
    }
}

/// Assumes the role for one tenant; the SDK keeps what this gives until shortly before it ends.
struct Session {
    inner: Arc<Inner>,
    tenant: TenantId,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Session {
    async fn assume(&self) -> Result<Credentials, CredentialsError> {
        let tag = Tag::builder().key("tenant").value(self.tenant.as_str()).build();
        let tag = tag.map_err(CredentialsError::invalid_configuration)?;
        let name: String = format!("prfactory-{}", self.tenant).chars().take(64).collect();
        let request = self.inner.sts.assume_role().role_arn(&self.inner.role).role_session_name(name).tags(tag);
        let answer = request.duration_seconds(LASTS).send().await.map_err(|error| {
            let failure = Refused::of(&error).repeatable("a tenant's role cannot be assumed");
            // Whoever waits for the identity learns only that there is none.
            tracing::error!(tenant.id = %self.tenant, error = %failure, "a tenant's role cannot be assumed");
            CredentialsError::provider_error(failure)
        })?;
        let given =
            answer.credentials.ok_or_else(|| CredentialsError::not_loaded("the role came without credentials"))?;
        let until = std::time::SystemTime::try_from(given.expiration).ok();
        Ok(Credentials::new(given.access_key_id, given.secret_access_key, Some(given.session_token), until, "tenant"))
    }
}

impl ProvideCredentials for Session {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}
