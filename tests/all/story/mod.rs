//! Stories through the front door.

mod canaries;
mod cancelling;
mod doctor;
mod events;
mod faults;
mod gates;
mod hostile_input;
mod hostile_repositories;
mod kills;
mod recovery;
mod replays;
mod safety;
mod settings;
mod tenants;
mod terminal;
mod way;
mod webhooks;
