//! Links the released program without unwind tables: its panics abort, so nothing ever reads them. They are 353 KB of
//! 2.58 MB, and no profile of cargo leaves them out: `-C force-unwind-tables=no` changes nothing under fat LTO, since the
//! standard library comes with debug information and with tables of its own, and then LLVM writes them for all.
//!
//! What is lost with them: frames in the backtrace of a panic, where a stripped program has no names to show anyway.

#![expect(clippy::disallowed_methods, reason = "this is how a build script talks with cargo")]

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=config/no-unwind.ld");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // A debug build keeps them, for the tests: those unwind. Elsewhere than on Linux linkers read no such script.
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    // GNU ld and lld take it; mold and wild do not. Where somebody chose a linker, it is left alone.
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if var("RUSTC_LINKER").is_ok() || flags.contains("linker=") || flags.contains("-fuse-ld=") {
        return;
    }
    let script = format!("{}/config/no-unwind.ld", var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    for arg in ["-Wl,--no-eh-frame-hdr", "-T", &script] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
