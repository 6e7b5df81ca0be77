fn main() {
    let radio = std::env::var_os("CARGO_FEATURE_WIFI").is_some();
    parlour_device_settings::include(radio, false);
}
