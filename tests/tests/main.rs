//! One binary for all of them, which links once: each file is one part of the story.

mod bench;
mod crooked;
mod demo;
mod device;
mod eval;
mod faults;
mod files;
mod home;
mod hostile;
mod index;
mod learn;
mod membership;
mod mine;
mod models;
mod ops;
mod personal;
mod releases;
mod rounds;
mod secrecy;
mod sim;
mod story;
mod train;
mod tune;
mod watch;
