//! mux: a local-first coding assistant. This file: argv, environment, clock, signals and streams enter here.

mod engine;
mod face;
mod rules;
mod sys;
mod words;

fn main() {}
