//! The guide as mdBook renders it, and its links.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::program::{Failure, Tool, root};

const RENDERS: Tool = Tool("mdbook", "0.5.4");

pub(super) fn renders() -> Result<(), Failure> {
    RENDERS.program()?.words("build docs").run()?;
    let mut pages = BTreeMap::new();
    read(&root().join("target/book"), &mut pages)?;
    let faults = broken(&pages);
    println!("{} pages, {} broken links", pages.len(), faults.len());
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.join("\n").into()),
    }
}

/// The pages below a folder, with their text.
fn read(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, pages)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            let text = fs::read_to_string(&path)?;
            pages.insert(path, text);
        }
    }
    Ok(())
}

/// The links to pages, files and headings that do not exist. Links to other hosts are not followed.
fn broken(pages: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (page, text) in pages {
        // The links of this one are those of others, from another folder.
        if page.ends_with("print.html") || page.ends_with("toc.html") {
            continue;
        }
        for link in [attribute(text, "href"), attribute(text, "src")].concat() {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            if link.is_empty() || path.contains(':') {
                continue;
            }
            let target = match path {
                "" => page.clone(),
                path => joined(page.parent().unwrap_or(page), path),
            };
            let has_heading = pages
                .get(&target)
                .is_none_or(|text| heading.is_empty() || attribute(text, "id").contains(&heading));
            if !(pages.contains_key(&target) || target.exists()) || !has_heading {
                faults.push(format!("{}: no {link}", page.display()));
            }
        }
    }
    faults
}

/// The values of an attribute in a page.
fn attribute<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    let values = page.split(&start).skip(1);
    values.filter_map(|rest| rest.split('"').next()).collect()
}

/// A path from a folder, with `..` resolved.
fn joined(folder: &Path, path: &str) -> PathBuf {
    let mut joined = folder.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => drop(joined.pop()),
            component => joined.push(component),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_pages_and_headings_that_exist() {
        let check = |link: &str, is_broken: bool| {
            let text = format!("<a href=\"{link}\">it</a>");
            let pages = [
                ("book/a/one.html", text.as_str()),
                ("book/two.html", "<h2 id=\"part\">"),
            ];
            let pages = pages.map(|(path, text)| (PathBuf::from(path), text.to_owned()));
            assert_eq!(!broken(&pages.into()).is_empty(), is_broken, "{link}");
        };
        check("../two.html", false);
        check("../two.html#part", false);
        check("#", false);
        check("https://example.com/two.html", false);
        check("two.html", true);
        check("../two.html#other", true);
        check("#part", true);
    }
}
