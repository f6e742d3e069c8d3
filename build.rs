//! Three things that make the released program on Linux smaller, and that no profile of cargo can say.
//!
//! **No unwind tables**: its panics abort, so nothing ever reads them. They are 353 KB of 2.58 MB. `-C
//! force-unwind-tables=no` changes nothing under fat LTO, since the standard library comes with debug information and
//! with tables of its own, and then LLVM writes them for all. What is lost with them: frames in the backtrace of a panic,
//! where a stripped program has no names to show anyway.
//!
//! **No unwinder**: what would read these tables is linked into a static program all the same, with C's `printf` for its
//! complaints, since the standard library names it: 53 KB of the released program. Its functions become `abort`, where the
//! program is about to end anyway: a panic says what and where before it looks for frames, and aborts after it.
//!
//! **Packed relocations** (`DT_RELR`): the 3700 addresses that the loader adjusts take 1 KB instead of 88. glibc reads
//! them since 2.36; on a machine with an older one, or with another libc, they stay as they are.

#![expect(clippy::disallowed_methods, reason = "this is how a build script talks with cargo")]

use std::env::var;
use std::process::Command;

/// What the standard library calls of it: `_Unwind_NAME`. One that is missing here brings all of it back.
const UNWINDER: [&str; 10] = [
    "Backtrace",
    "GetDataRelBase",
    "GetIP",
    "GetIPInfo",
    "GetLanguageSpecificData",
    "GetRegionStart",
    "GetTextRelBase",
    "Resume",
    "SetGR",
    "SetIP",
];

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
    let features = var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if features.split(',').any(|feature| feature == "crt-static") {
        for name in UNWINDER {
            println!("cargo::rustc-link-arg-bins=-Wl,--defsym=_Unwind_{name}=abort");
        }
    }
    if is("CARGO_CFG_TARGET_ENV", "gnu") && var("HOST") == var("TARGET") && has_glibc(2, 36) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the glibc of this machine, `glibc 2.36`, is that one or a later one.
fn has_glibc(major: u32, minor: u32) -> bool {
    let Ok(output) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.trim().trim_start_matches("glibc ").split('.').map(|number| number.parse::<u32>().ok());
    let found = (numbers.next().flatten(), numbers.next().flatten());
    found >= (Some(major), Some(minor))
}
