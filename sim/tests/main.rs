//! Simulated peers: members, those who do what they should not, hours of searches, rounds.

mod adversaries;
mod attacks;
mod common;
mod hour;
mod membership;
mod searching;
mod training;
