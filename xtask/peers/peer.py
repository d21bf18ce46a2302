"""What a peer has to offer to be measured."""

from importlib import metadata

from measure import MAX_PASSES, cpu_s


class Peer:
    """One way of one library to search. An instance lives in one process and builds or searches, not both."""

    name = ""  # the engine
    variant = ""  # how it is set up
    package = ""  # what pip calls it
    modules = ()  # what it imports to build
    index_file = ""  # the file that is the index, where the folder holds more
    needs_text = False  # whether it embeds on its own
    end_to_end = False  # whether a query's time includes embedding the question
    warm_up = 50
    max_passes = MAX_PASSES
    few = None  # at most so many questions, where one costs minutes
    note = None

    def version(self):
        return metadata.version(self.package)

    def settings(self):
        """Whatever changes the outcome: part of the key that a finished row is kept under."""
        return [self.variant, [self.label(point) for point in self.points()]]

    def build(self, vectors, folder, threads):
        raise NotImplementedError

    def open(self, folder, n, dim):
        raise NotImplementedError

    def points(self):
        """The settings to search with, from quick to thorough."""
        raise NotImplementedError

    def label(self, point):
        return str(point)

    def search(self, question, point, k):
        """Ids of the k best chunks, best first. A question is a vector, or text where `needs_text`."""
        raise NotImplementedError

    def recomputed(self, point):
        """How many chunks the last search embedded, or scored exactly after an approximate part; None without one."""
        return None

    def cpu_s(self):
        return cpu_s()

    def servers_mb(self):
        """Peak memory of processes that search for this one."""
        return 0.0

    def close(self):
        pass
