//! The floors, as ARCHITECTURE.md lists them.

use std::fmt;

/// The rooms of all floors, from the top floor down.
pub struct Floors(Vec<Room>);

/// A file or a folder of `src/`. What lies on a floor side by side is several rooms.
pub struct Room {
    /// Relative to `src/`; a folder ends in a slash.
    pub name: String,
    /// Counted from the top, which is 1.
    pub floor: usize,
}

impl Floors {
    /// Reads the table under `## Floors`: each row is a floor, and its first column names the rooms
    /// in backticks.
    pub fn parse(document: &str) -> Result<Self, String> {
        let lines = document.lines().map(str::trim).skip_while(|line| *line != "## Floors").skip(1);
        let table = lines.take_while(|line| !line.starts_with("## "));
        // The first two lines are the heading of the columns and the rule below it.
        let rows = table.filter_map(|line| line.strip_prefix('|')).skip(2);
        let mut rooms = Vec::new();
        for (row, floor) in rows.zip(1..) {
            let column = row.split('|').next().unwrap_or_default();
            let names: Vec<_> = column.split('`').skip(1).step_by(2).collect();
            if names.is_empty() {
                return Err(format!("ARCHITECTURE.md: floor {floor} names no room: |{row}"));
            }
            for name in names {
                if rooms.iter().any(|room: &Room| room.name == name) {
                    return Err(format!("ARCHITECTURE.md: two floors or columns name {name}"));
                }
                rooms.push(Room { name: name.into(), floor });
            }
        }
        if rooms.is_empty() {
            return Err("ARCHITECTURE.md has no table under the heading \"## Floors\"".into());
        }
        Ok(Self(rooms))
    }

    /// Every room, from the top floor down.
    pub fn rooms(&self) -> &[Room] {
        &self.0
    }

    /// The rooms in which `file` lies. There should be one.
    pub fn rooms_of<'a>(&'a self, file: &str) -> impl Iterator<Item = &'a Room> {
        self.0.iter().filter(move |room| room.holds(file))
    }
}

impl Room {
    /// Whether `file` is this room or lies in it.
    pub fn holds(&self, file: &str) -> bool {
        if self.name.ends_with('/') { file.starts_with(&self.name) } else { file == self.name }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (floor {})", self.name, self.floor)
    }
}
