//! What the tests need from the machine, found or told.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The programs of this workspace and the file system of the Postfix image.
#[derive(Debug, Clone)]
pub struct Requirements {
    pub rootfs: PathBuf,
    pub relay_init: PathBuf,
    pub relay: PathBuf,
    /// Mail programs of Debian, each in a folder of its own.
    mail_programs: PathBuf,
}

const PROVIDER: &str = "run `make test`, which provides it";

impl Requirements {
    pub fn find() -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "the end-to-end tests make network namespaces and mounts, so they need root: {PROVIDER}"
        );
        // The test binary is target/debug/deps/e2e-…, and the benchmark target/release/relay-bench,
        // wherever CARGO_TARGET_DIR is.
        let this = std::env::current_exe().context("finding the test binary")?;
        let folder = this.parent().context("the test binary has no folder")?;
        let profile = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
        let profile = profile.context("the test binary has no target directory")?;
        let target = profile.parent().context("the test binary has no target directory")?;
        let rootfs = target.join("e2e/rootfs");
        present(&rootfs.join("usr/lib/postfix/sbin/master"), "the Postfix image's file system")?;
        let relay_init = profile.join("relay-init");
        present(&relay_init, "this build of relay-init")?;
        let relay = profile.join("relay");
        present(&relay, "this build of relay")?;
        let mail_programs = target.join("clients");
        Ok(Self { rootfs, relay_init, relay, mail_programs })
    }
}

/// Finds a reference client of another project, such as `miltertest`.
pub fn reference_client(name: &str) -> Result<PathBuf> {
    let path = Path::new("/usr/bin").join(name);
    present(&path, "a reference client")?;
    Ok(path)
}

/// Finds the unpacked package of a mail program.
pub fn mail_program(requirements: &Requirements, package: &str) -> Result<PathBuf> {
    let path = requirements.mail_programs.join(package);
    present(&path, "a mail program of Debian, unpacked")?;
    Ok(path)
}

/// Finds what a script of the project's put into the target folder.
pub fn tool(path: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(path);
    present(&path, "made by a script in tools/")?;
    Ok(path)
}

/// Finds another program or file of the machine by its path.
pub fn program(path: &str) -> Result<PathBuf> {
    let path = PathBuf::from(path);
    present(&path, "a verifier, or a name server for it")?;
    Ok(path)
}

fn present(path: &Path, what: &str) -> Result<()> {
    ensure!(path.exists(), "{} ({what}) is missing: {PROVIDER}", path.display());
    Ok(())
}
