"""What Image Factory costs, each beside a yardstick measured in the same run; `README.md` says how."""
