#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlour_fuzz::rtp_rtcp::run(data));
