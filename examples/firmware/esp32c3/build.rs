use std::env;

fn main() {
    let has = |feature: &str| env::var_os(feature).is_some();
    // Without the room there is no ticket to ask for.
    parlour_device_settings::include(has("CARGO_FEATURE_WIFI"), has("CARGO_FEATURE_PARLOUR"));
}
