"""The search itself: its study, rounds, races, selection and objective."""
