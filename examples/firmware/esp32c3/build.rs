use std::path::{Path, PathBuf};
use std::process::exit;
use std::{env, fs};

use parlour_esp32_settings::Settings;

fn main() {
    println!("cargo::rerun-if-env-changed=PARLOUR_CONFIG");
    let path = env::var_os("PARLOUR_CONFIG").map_or_else(|| "config.toml".into(), PathBuf::from);
    println!("cargo::rerun-if-changed={}", path.display());
    let radio = env::var_os("CARGO_FEATURE_WIFI").is_some();
    let settings = match fs::read_to_string(&path) {
        Ok(text) => Settings::parse(&text, radio).map_err(|error| error.to_string()),
        Err(error) => Err(format!(
            "{error}: copy config.example.toml to config.toml, and fill it in"
        )),
    };
    let settings = settings.unwrap_or_else(|error| {
        println!("cargo::error={}: {error}", path.display());
        exit(1)
    });
    let out = env::var_os("OUT_DIR").expect("Cargo sets it");
    let written = fs::write(Path::new(&out).join("config.rs"), settings.to_rust());
    written.expect("Cargo's own directory can be written to");
}
