//! Who is acting, and what they may do.

use serde::{Deserialize, Serialize};

use crate::id::{MemberId, TenantId};

/// What a member may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Reader,
    /// May start work, answer questions and steer.
    Writer,
    /// May decide what is done and what it may cost.
    Approver,
    /// May also decide on sensitive paths.
    Admin,
}

impl Role {
    /// The word people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

/// The surface a person spoke on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A comment, label or review on GitHub.
    Github,
    /// A comment, label or assignment in Jira.
    Jira,
    /// The command line of this machine.
    Cli,
}

impl Via {
    /// The word people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Github => "GitHub",
            Self::Jira => "Jira",
            Self::Cli => "CLI",
        }
    }
}

/// A member of a tenant whose identity was verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The tenant the person acts in.
    pub tenant: TenantId,
    /// The person.
    pub id: MemberId,
    /// The name people know the person by.
    pub name: String,
    /// What the person may do now.
    pub role: Role,
    /// Where the person spoke.
    pub via: Via,
}

/// Who an input comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Principal {
    /// A person.
    Member(Member),
    /// The system itself: a stage, the clock, or news from a forge.
    System,
}

impl Principal {
    /// What the timeline calls the actor.
    pub fn name(&self) -> &str {
        match self {
            Self::Member(member) => &member.name,
            Self::System => "prfactory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_surfaces_and_actors_have_the_names_people_read() {
        let roles = [Role::Reader, Role::Writer, Role::Approver, Role::Admin];
        assert_eq!(roles.map(Role::as_str), ["reader", "writer", "approver", "admin"]);
        assert!(roles.is_sorted(), "each role includes the ones before it");
        assert_eq!([Via::Github, Via::Jira, Via::Cli].map(Via::as_str), ["GitHub", "Jira", "CLI"]);
        let member = Member {
            tenant: TenantId::parse("ten_1").unwrap(),
            id: MemberId::parse("mem_1").unwrap(),
            name: "Ada".to_owned(),
            role: Role::Reader,
            via: Via::Cli,
        };
        assert_eq!([Principal::Member(member).name(), Principal::System.name()], ["Ada", "prfactory"]);
    }
}
