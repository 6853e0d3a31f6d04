// What plays: a moment that goes on with the wall clock while it is let.

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 8];

export function createClock() {
  return {
    seconds: 0,
    speed: 1,
    playing: false,
    /** The moment after so many milliseconds of wall clock; true when the end was reached. */
    advance(milliseconds, end) {
      if (!this.playing) return false;
      this.seconds += (this.speed * milliseconds) / 1000;
      if (this.seconds < end) return false;
      this.seconds = end;
      return true;
    },
    faster(places) {
      const nearest = SPEEDS.findIndex((speed) => speed >= this.speed);
      this.speed = SPEEDS[Math.min(Math.max(nearest + places, 0), SPEEDS.length - 1)];
    },
  };
}
