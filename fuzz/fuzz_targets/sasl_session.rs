#![no_main]

use std::sync::LazyLock;

use relay_fuzz::sasl_session::Lab;

static LAB: LazyLock<Lab> = LazyLock::new(Lab::new);

libfuzzer_sys::fuzz_target!(|data: &[u8]| LAB.check(data));
