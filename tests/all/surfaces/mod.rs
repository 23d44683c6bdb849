//! What people see on GitHub and in Jira, from the first word to the merge.

mod issues;
mod jira;
mod tour;
