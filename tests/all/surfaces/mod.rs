//! What people see on GitHub and in Jira, from the first word to the merge.

mod branches;
mod connecting;
mod effects;
mod errors;
mod installed;
mod issues;
mod jira;
mod load;
mod matrix;
mod tenants;
mod tour;
