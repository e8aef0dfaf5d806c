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
fn what_is_inside_is_seen_down_to_a_depth_and_behind_no_link() {
    let base = tempfile::tempdir().unwrap();
    let (inside, outside) = (base.path().join("inside"), base.path().join("outside"));
    fs::create_dir_all(inside.join("1/2/3")).unwrap();
    fs::create_dir(&outside).unwrap();
    for file in ["inside/1/two", "inside/1/2/three", "outside/file"] {
        fs::write(base.path().join(file), "").unwrap();
    }
    std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
    let mut seen = Vec::new();
    for_each_inside(CWD, &inside, 1, &mut |_, name, _| {
        seen.push(name.to_str().unwrap().to_owned());
        Ok(())
    })
    .unwrap();
    seen.sort();
    assert_eq!(seen, ["1", "2", "link", "two"]);
    assert!(for_each_inside(CWD, inside.join("link"), 1, &mut |_, _, _| Ok(())).is_err());
}

#[test]
fn the_table_has_every_parent_before_its_children() {
    for (at, folder) in FOLDERS.iter().enumerate() {
        let parent = Path::new(folder.path).parent().unwrap();
        let of_parent = FOLDERS.iter().position(|other| Path::new(other.path) == parent);
        assert!(of_parent.is_none_or(|parent| parent < at), "{}", folder.path);
    }
}
