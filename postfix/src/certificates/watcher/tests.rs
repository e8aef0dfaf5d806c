use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::UNIX_EPOCH;

use rcgen::{CertificateParams, KeyPair};

use super::*;

const HOST: &str = "relay.example.org";

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_435_200 + second)
}

/// A folder with a pair, and the watch over it.
struct Desk {
    folder: tempfile::TempDir,
}

/// A certificate and its key in PEM, valid for some days from a day before the first second.
fn issued(host: &str, days: u64) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.not_before = (at(0) - ONE_DAY).into();
    params.not_after = (at(0) + Duration::from_secs(days * 24 * 3600)).into();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl Desk {
    fn new(pair: &(String, String)) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.put("cert.pem", &pair.0);
        desk.put("key.pem", &pair.1);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn watch(&self) -> Watched {
        let names = ["TLS_CERT", "TLS_KEY"];
        let (certificate, key) = (self.path("cert.pem"), self.path("key.pem"));
        let source = Source::Files { certificate, key, names };
        Watched::start(source, &self.path("copy.pem"), Some(HOST.to_owned()), at(0)).unwrap()
    }

    /// The certificate that Postfix's copy holds, which is always a whole pair.
    fn served(&self) -> String {
        Pair::load(&self.path("copy.pem"), &self.path("copy.pem")).unwrap().fingerprint()
    }
}

fn fingerprint(pair: &(String, String)) -> String {
    Pair::from_pem(pair.0.as_bytes(), pair.1.as_bytes()).unwrap().fingerprint()
}

#[test]
fn the_copy_is_for_root_alone() {
    let desk = Desk::new(&issued(HOST, 90));
    desk.watch();
    let mode = fs::metadata(desk.path("copy.pem")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn a_renewed_pair_is_in_use_at_the_next_look_and_once() {
    let (old, new) = (issued(HOST, 20), issued(HOST, 90));
    let desk = Desk::new(&old);
    let mut watched = desk.watch();
    assert!(!watched.tick(at(10)));
    desk.put("cert.pem", &new.0);
    desk.put("key.pem", &new.1);
    assert!(watched.tick(at(20)));
    assert_eq!(desk.served(), fingerprint(&new));
    assert!(!watched.tick(at(30)));
}

#[test]
fn a_pair_that_is_written_in_two_steps_is_waited_for_in_silence() {
    let (old, new) = (issued(HOST, 20), issued(HOST, 90));
    let desk = Desk::new(&old);
    let mut watched = desk.watch();
    desk.put("cert.pem", &new.0);
    for second in [1, 11, 21] {
        assert!(!watched.tick(at(second)));
        assert_eq!(desk.served(), fingerprint(&old));
    }
    assert_eq!(watched.trouble, Some(Trouble::new(at(1))), "nothing was said");
    desk.put("key.pem", &new.1);
    assert!(watched.tick(at(31)));
    assert_eq!(desk.served(), fingerprint(&new));
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
        (wrong_host.0.as_str(), wrong_host.1.as_str(), "is not for this host"),
        (ended.0.as_str(), ended.1.as_str(), "ended at"),
    ] {
        let desk = Desk::new(&old);
        let mut watched = desk.watch();
        desk.put("cert.pem", certificate);
        desk.put("key.pem", key);
        for second in [10, 20, 30, 40, 50] {
            assert!(!watched.tick(at(second)), "{reason}");
        }
        assert_eq!(desk.served(), fingerprint(&old), "{reason}");
        let trouble = format!("{:?}", watched.trouble);
        assert!(trouble.contains(reason), "{reason} is not in {trouble}");
        assert!(!trouble.contains(old.1.lines().nth(1).unwrap()), "{trouble}");
    }
}

#[test]
fn files_that_vanish_keep_the_old_pair_too() {
    let old = issued(HOST, 20);
    let desk = Desk::new(&old);
    let mut watched = desk.watch();
    fs::remove_file(desk.path("key.pem")).unwrap();
    for second in [10, 50] {
        assert!(!watched.tick(at(second)));
    }
    let trouble = format!("{:?}", watched.trouble);
    assert!(trouble.contains("key.pem: cannot read this file"), "{trouble}");
    assert_eq!(desk.served(), fingerprint(&old));
}

#[test]
fn links_that_change_their_target_are_followed() {
    // As certbot has it: live/…/fullchain.pem -> ../../archive/…/fullchain1.pem; and as Kubernetes
    // has it: a link in the middle of the path.
    let (old, new) = (issued(HOST, 20), issued(HOST, 90));
    let desk = Desk::new(&old);
    for (folder, pair) in [("1", &old), ("2", &new)] {
        fs::create_dir(desk.path(folder)).unwrap();
        desk.put(&format!("{folder}/cert.pem"), &pair.0);
        desk.put(&format!("{folder}/key.pem"), &pair.1);
    }
    symlink("1", desk.path("live")).unwrap();
    for file in ["cert.pem", "key.pem"] {
        fs::remove_file(desk.path(file)).unwrap();
        symlink(format!("live/{file}"), desk.path(file)).unwrap();
    }
    let mut watched = desk.watch();
    assert_eq!(desk.served(), fingerprint(&old));
    symlink("2", desk.path("new")).unwrap();
    fs::rename(desk.path("new"), desk.path("live")).unwrap();
    assert!(watched.tick(at(10)));
    assert_eq!(desk.served(), fingerprint(&new));
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
fn a_near_end_is_said_once_a_day() {
    let desk = Desk::new(&issued(HOST, 20));
    let mut watched = desk.watch();
    let mut told = Vec::new();
    for hour in 0..(21 * 24) {
        let now = at(hour * 3600);
        watched.tick(now);
        if watched.end_told == Some(now) {
            told.push(hour / 24);
        }
    }
    assert_eq!(told, [6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
}
