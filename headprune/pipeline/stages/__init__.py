"""The work of the jobs: a module for each kind, whose `run` takes the context of a job and returns its receipt.

A failure of a cell becomes the record of that cell; a failure that concerns all cells of a job becomes the record of
each. Seeds of everything random are derived here, so that no method ever sees one.
"""
