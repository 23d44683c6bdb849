//! Proof of whose data may be touched: made only where identity was verified.

use domain::id::TenantId;

/// Proof that the work at hand belongs to a tenant. Only opening a sealed message or a look-up from a
/// verified delivery makes one:
///
/// ```compile_fail,E0451
/// # let tenant = domain::id::TenantId::parse("ten_acme").unwrap();
/// let forged = engine::tenancy::TenantCtx { tenant };
/// ```
///
/// ```compile_fail,E0624
/// # let tenant = domain::id::TenantId::parse("ten_acme").unwrap();
/// let forged = engine::tenancy::TenantCtx::proven(tenant);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TenantCtx {
    tenant: TenantId,
}

impl TenantCtx {
    pub(crate) fn proven(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// The tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

/// Proof of being sweep: it can list what is due, whoever it belongs to, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemCtx(());

impl SystemCtx {
    /// Made by opening a message sealed for sweep.
    pub(crate) fn proven() -> Self {
        Self(())
    }

    /// Proof to act on one due row for the tenant it belongs to.
    pub fn tenant_of(&self, due: &crate::key::Key) -> Option<TenantCtx> {
        due.tenant().map(TenantCtx::proven)
    }
}
