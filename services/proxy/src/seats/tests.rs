//! Offers of leaders, and what is told to who waits.
