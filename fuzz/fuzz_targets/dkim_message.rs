#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::dkim_message::check(data));
