//! Lists the migrations: each is a pair of files in `migrations/postgres`, and one of the same names in `migrations/sqlite`.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../migrations").canonicalize()?;
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join("postgres"))? {
        let file = entry?.file_name();
        names.extend(file.to_string_lossy().strip_suffix(".up.sql").map(str::to_owned));
    }
    names.sort();
    let mut list = String::from("&[");
    for name in names {
        let number: i64 = name.split('_').next().unwrap_or_default().parse()?;
        let script = |dialect: &str| {
            let file = |direction: &str| format!("{}/{dialect}/{name}.{direction}.sql", folder.display());
            format!("Script {{ up: include_str!({:?}), down: include_str!({:?}) }}", file("up"), file("down"))
        };
        let (postgres, sqlite) = (script("postgres"), script("sqlite"));
        write!(list, "Migration {{ number: {number}, name: {name:?}, postgres: {postgres}, sqlite: {sqlite} }},")?;
    }
    list.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("migrations.rs"), list)?;
    Ok(())
}
