use super::*;

/// Only root can give a folder to the owners in the table; everything else works as any user.
fn as_me(folder: Folder) -> Folder {
    let me = fs::metadata("/proc/self").unwrap();
    Folder { user: me.uid(), group: me.gid(), ..folder }
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn folders_are_created_and_repaired() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("maildrop");
    let wanted = as_me(folder("", POSTFIX, POSTDROP, 0o730));
    prepare_one(&path, &wanted).unwrap();
    assert_eq!(mode_of(&path), 0o730);
    // The mode of a tmpfs that Docker mounts.
    fs::set_permissions(&path, Permissions::from_mode(0o1777)).unwrap();
    prepare_one(&path, &wanted).unwrap();
    assert_eq!(mode_of(&path), 0o730);
}

#[test]
fn a_file_or_a_symbolic_link_instead_of_a_folder_is_an_error() {
    let base = tempfile::tempdir().unwrap();
    let wanted = as_me(queue(""));
    for name in ["file", "link"] {
        let path = base.path().join(name);
        match name {
            "file" => fs::write(&path, "").unwrap(),
            _ => std::os::unix::fs::symlink(base.path(), &path).unwrap(),
        }
        let error = prepare_one(&path, &wanted).unwrap_err();
        assert_eq!(error.to_string(), "it is not a folder", "{name}");
    }
}

#[test]
fn the_table_has_every_parent_before_its_children() {
    for (at, folder) in FOLDERS.iter().enumerate() {
        let parent = Path::new(folder.path).parent().unwrap();
        let of_parent = FOLDERS.iter().position(|other| Path::new(other.path) == parent);
        assert!(of_parent.is_none_or(|parent| parent < at), "{}", folder.path);
    }
}
