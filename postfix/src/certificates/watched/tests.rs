use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::UNIX_EPOCH;

use rcgen::{CertificateParams, KeyPair};

use super::*;

const HOST: &str = "relay.example.org";

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_435_200 + second)
}

/// A folder with a pair in it, and Postfix's copy.
struct Bench {
    folder: tempfile::TempDir,
}

/// A certificate and its key in PEM, valid from a day before `at(0)` until `days` after it.
fn issued(host: &str, days: u64) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.not_before = (at(0) - ONE_DAY).into();
    params.not_after = (at(0) + Duration::from_secs(days * 24 * 3600)).into();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl Bench {
    fn new(pair: &(String, String)) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.put("cert.pem", &pair.0);
        bench.put("key.pem", &pair.1);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn watch(&self) -> Watched {
        let variables = ["TLS_CERT", "TLS_KEY"];
        let (certificate, key) = (self.path("cert.pem"), self.path("key.pem"));
        let source = Source::Files { certificate, key, variables };
        Watched::start(source, &self.path("copy.pem"), Some(HOST.to_owned()), at(0)).unwrap()
    }

    /// The fingerprint of Postfix's copy, which must be a complete pair at all times.
    fn served(&self) -> String {
        Pair::load(&self.path("copy.pem"), &self.path("copy.pem")).unwrap().fingerprint()
    }
}

fn fingerprint(pair: &(String, String)) -> String {
    Pair::from_pem(pair.0.as_bytes(), pair.1.as_bytes()).unwrap().fingerprint()
}

#[test]
fn only_root_can_read_the_copy() {
    let bench = Bench::new(&issued(HOST, 90));
    bench.watch();
    let mode = fs::metadata(bench.path("copy.pem")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_renewed_pair_is_put_into_use_once_at_the_next_tick() {
    let (old, new) = (issued(HOST, 20), issued(HOST, 90));
    let bench = Bench::new(&old);
    let mut watched = bench.watch();
    assert!(!watched.tick(at(10)));
    bench.put("cert.pem", &new.0);
    bench.put("key.pem", &new.1);
    assert!(watched.tick(at(20)));
    assert_eq!(bench.served(), fingerprint(&new));
    assert!(!watched.tick(at(30)));
}

#[test]
fn a_pair_written_in_two_steps_causes_no_warning() {
    let (old, new) = (issued(HOST, 20), issued(HOST, 90));
    let bench = Bench::new(&old);
    let mut watched = bench.watch();
    bench.put("cert.pem", &new.0);
    for second in [1, 11, 21] {
        assert!(!watched.tick(at(second)));
        assert_eq!(bench.served(), fingerprint(&old));
    }
    assert_eq!(watched.trouble, Some(Trouble::new(at(1))), "there was a warning");
    bench.put("key.pem", &new.1);
    assert!(watched.tick(at(31)));
    assert_eq!(bench.served(), fingerprint(&new));
    assert_eq!(watched.trouble, None);
}

#[test]
fn a_broken_renewal_keeps_the_old_pair() {
    let old = issued(HOST, 20);
    let wrong_host = issued("other.example.org", 90);
    let ended = issued(HOST, 0);
    for (certificate, key, reason) in [
        ("", old.1.as_str(), "there is no certificate"),
        (old.0.as_str(), "garbage", "there is no private key"),
        (old.1.as_str(), old.0.as_str(), "swap the two"),
        (wrong_host.0.as_str(), wrong_host.1.as_str(), "is not for this host name"),
        (ended.0.as_str(), ended.1.as_str(), "expired at"),
    ] {
        let bench = Bench::new(&old);
        let mut watched = bench.watch();
        bench.put("cert.pem", certificate);
        bench.put("key.pem", key);
        for second in [10, 20, 30, 40, 50] {
            assert!(!watched.tick(at(second)), "{reason}");
        }
        assert_eq!(bench.served(), fingerprint(&old), "{reason}");
        let trouble = format!("{:?}", watched.trouble);
        assert!(trouble.contains(reason), "{reason} is not in {trouble}");
        assert!(!trouble.contains(old.1.lines().nth(1).unwrap()), "{trouble}");
    }
}

#[test]
fn files_that_disappear_keep_the_old_pair_too() {
    let old = issued(HOST, 20);
    let bench = Bench::new(&old);
    let mut watched = bench.watch();
    fs::remove_file(bench.path("key.pem")).unwrap();
    for second in [10, 50] {
        assert!(!watched.tick(at(second)));
    }
    let trouble = format!("{:?}", watched.trouble);
    assert!(trouble.contains("key.pem: cannot read this file"), "{trouble}");
    assert_eq!(bench.served(), fingerprint(&old));
}

#[test]
fn symbolic_links_that_change_their_target_are_followed() {
    // certbot links live/…/fullchain.pem to ../../archive/…/fullchain1.pem; Kubernetes has a link in
    // the middle of the path.
    let (old, new) = (issued(HOST, 20), issued(HOST, 90));
    let bench = Bench::new(&old);
    for (folder, pair) in [("1", &old), ("2", &new)] {
        fs::create_dir(bench.path(folder)).unwrap();
        bench.put(&format!("{folder}/cert.pem"), &pair.0);
        bench.put(&format!("{folder}/key.pem"), &pair.1);
    }
    symlink("1", bench.path("live")).unwrap();
    for file in ["cert.pem", "key.pem"] {
        fs::remove_file(bench.path(file)).unwrap();
        symlink(format!("live/{file}"), bench.path(file)).unwrap();
    }
    let mut watched = bench.watch();
    assert_eq!(bench.served(), fingerprint(&old));
    symlink("2", bench.path("new")).unwrap();
    fs::rename(bench.path("new"), bench.path("live")).unwrap();
    assert!(watched.tick(at(10)));
    assert_eq!(bench.served(), fingerprint(&new));
}

#[test]
fn a_self_signed_certificate_is_renewed_in_time_and_keeps_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (volume, copy) = (folder.path().join("volume"), folder.path().join("copy.pem"));
    fs::create_dir(&volume).unwrap();
    let source = Source::SelfSigned(volume);
    let mut watched = Watched::start(source, &copy, Some(HOST.to_owned()), at(0)).unwrap();
    let (first, pin) = (watched.current.fingerprint(), watched.current.pin());
    assert!(!watched.tick(at(3600)));
    let day = |day: u64| at(day * 24 * 3600);
    assert!(!watched.tick(day(3619)));
    assert!(watched.tick(day(3621)));
    assert!(!watched.tick(day(3622)));
    assert_ne!(watched.current.fingerprint(), first);
    assert_eq!(watched.current.pin(), pin);
    let served = Pair::load(&copy, &copy).unwrap();
    assert_eq!(served.fingerprint(), watched.current.fingerprint());
}

#[test]
fn a_near_expiry_is_warned_about_once_a_day() {
    let bench = Bench::new(&issued(HOST, 20));
    let mut watched = bench.watch();
    let mut warned = Vec::new();
    for hour in 0..(21 * 24) {
        let now = at(hour * 3600);
        watched.tick(now);
        if watched.warned_of_expiry == Some(now) {
            warned.push(hour / 24);
        }
    }
    assert_eq!(warned, [6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
}
