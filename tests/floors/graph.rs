//! Finds imports that do not look down, and circles.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::imports::Arrow;
use crate::table::Floors;

/// The imports that look up, or into another room of the same floor.
pub fn wrong_floors(arrows: &[Arrow], floors: &Floors) -> Vec<String> {
    let mut failures = Vec::new();
    for Arrow { from: file, line, to, written, .. } in arrows {
        // A file that is on no floor is a failure of its own.
        let (Some(from), Some(to)) = (floors.rooms_of(file).next(), floors.rooms_of(to).next())
        else {
            continue;
        };
        if from.floor > to.floor {
            failures.push(format!("src/{file}:{line}: {from} imports {to}: {written}"));
        } else if from.floor == to.floor && from.name != to.name {
            let why = format!("{from} imports {to} on the same floor");
            failures.push(format!("src/{file}:{line}: {why}: {written}"));
        }
    }
    // A module and a function may share a name, and one line imports both.
    failures.dedup();
    failures
}

/// The imports of each file, by the file that they lead to.
type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a Arrow>>>;

/// The circles of files. Those inside a room come first and on their own, because a circle through
/// several rooms can swallow them. That one also has an import that does not look down.
pub fn circles(arrows: &[Arrow], floors: &Floors) -> Vec<String> {
    let room = |file: &str| floors.rooms_of(file).next().map(|room| &room.name);
    let imports = arrows.iter().filter(|arrow| !arrow.whole_module);
    let (inside, between): (Vec<_>, Vec<_>) =
        imports.partition(|arrow| room(&arrow.from) == room(&arrow.to));
    let in_rooms = graph(inside.iter().copied());
    let in_all = graph(inside.iter().chain(&between).copied());
    let small = circles_of(&in_rooms).into_iter().map(|circle| describe(&in_rooms, &circle));
    let large = circles_of(&in_all)
        .into_iter()
        .filter(|circle| circle.iter().any(|file| room(file) != room(circle.first().unwrap())))
        .map(|circle| describe(&in_all, &circle));
    small.chain(large).collect()
}

fn graph<'a>(arrows: impl Iterator<Item = &'a Arrow>) -> Graph<'a> {
    let mut graph = Graph::new();
    for arrow in arrows {
        graph.entry(&arrow.from).or_default().entry(&arrow.to).or_default().push(arrow);
    }
    graph
}

/// The sets of files of which each leads to all others. Circles that share a file are one set.
fn circles_of<'a>(graph: &Graph<'a>) -> BTreeSet<BTreeSet<&'a str>> {
    let reached: BTreeMap<_, _> =
        graph.keys().map(|file| (*file, reachable(graph, file))).collect();
    let with = |file: &str, reached_from_it: &BTreeSet<&'a str>| {
        let leads_back = |other: &&str| reached.get(other).is_some_and(|back| back.contains(file));
        reached_from_it.iter().copied().filter(leads_back).collect()
    };
    let circles = reached.iter().map(|(file, reached_from_it)| with(file, reached_from_it));
    circles.filter(|circle: &BTreeSet<_>| circle.len() > 1).collect()
}

/// The files that `file` imports, those that these import, and so on.
fn reachable<'a>(graph: &Graph<'a>, file: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut queue: Vec<_> = next(graph, file).collect();
    while let Some(file) = queue.pop() {
        if reached.insert(file) {
            queue.extend(next(graph, file));
        }
    }
    reached
}

fn next<'a>(graph: &Graph<'a>, file: &str) -> impl Iterator<Item = &'a str> {
    graph.get(file).into_iter().flat_map(BTreeMap::keys).copied()
}

/// Lists one import of each file. Followed from any file, they lead to the first.
fn describe(graph: &Graph<'_>, circle: &BTreeSet<&str>) -> String {
    let first = circle.first().copied().unwrap_or_default();
    let mut steps = BTreeMap::new();
    let mut queue = VecDeque::from([first]);
    while let Some(to) = queue.pop_front() {
        for from in circle {
            if graph[from].contains_key(to) && !steps.contains_key(from) {
                steps.insert(from, to);
                if *from != first {
                    queue.push_back(from);
                }
            }
        }
    }
    let mut lines = vec![format!("{} files import each other in a circle:", circle.len())];
    for (from, to) in steps {
        let arrows = &graph[from][to];
        let names: Vec<_> = arrows.iter().map(|arrow| arrow.written.as_str()).collect();
        let line = arrows[0].line;
        lines.push(format!("  src/{from}:{line} -> src/{to}: {}", names.join(", ")));
    }
    lines.join("\n")
}
