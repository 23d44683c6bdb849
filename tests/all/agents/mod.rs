//! The agent: its turns, its tools under a hostile model, its money, and the provider's wire.

mod budget;
mod hostile;
mod turns;
mod wire;
