//! Vocabulary and seams of the GO Feature Flag crates.
