#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::sasl_line::check(data));
