"""Trainings: one (`evaluate`, read first), many (`study`), in other processes (`remote`), remembered (`store`)."""
