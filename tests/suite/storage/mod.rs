//! What is stored, where, and who can read it: session files, the sealing key in files and keychains,
//! API keys, and sessions of earlier tools. Also what must never be stored anywhere.

mod canaries;
mod damaged_files;
mod disks;
mod file_names;
mod homes_of_others;
mod import;
mod import_again;
mod import_keychain;
mod keeping;
mod kernel_keyring;
mod key_move;
mod keychain;
mod keys;
mod logout_all;
mod reset;
mod secured_replies;
