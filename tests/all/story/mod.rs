//! Stories through the front door.

mod way;
